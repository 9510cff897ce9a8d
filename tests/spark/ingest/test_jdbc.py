"""JDBC sources with real databases (Derby and PostgreSQL): full and incremental reads."""

from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime

import pytest
from support.lake import lake_context
from support.postgresql import PASSWORD, postgresql, programs

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.bronze_columns import encoded
from crm_spark.contracts.ops import DELIVERY
from crm_spark.contracts.silver import PERSON
from crm_spark.core.errors import ConfigError, InputError
from crm_spark.sources.config import Jdbc
from crm_spark.stages.clean import stage as clean
from crm_spark.stages.ingest import stage as ingest
from crm_spark.stages.ingest.jdbc import read_table

SOURCE = """
system: erp
jdbc: {{url: "jdbc:derby:memory:{name}", table: CLIENT, watermark: {watermark}}}
country: DE
feeds:
  person:
    columns: {{person_id: ID, given_name: GIVEN, family_name: FAMILY, joined_at: {{from: SINCE, formats: [iso]}}}}
"""


class Database:
    def __init__(self, spark, name):
        manager = spark._jvm.java.sql.DriverManager
        self.connection = manager.getConnection(f"jdbc:derby:memory:{name};create=true")
        self.run("CREATE TABLE CLIENT (ID INT, GIVEN VARCHAR(40), FAMILY VARCHAR(40), SINCE TIMESTAMP)")

    def run(self, sql):
        statement = self.connection.createStatement()
        statement.execute(sql)
        statement.close()

    def add(self, number, given, family):
        self.run(
            f"INSERT INTO CLIENT VALUES ({number}, '{given}', '{family}', TIMESTAMP('2024-03-0{number} 08:00:00'))"
        )


@pytest.fixture
def shop(spark, tmp_path):
    """A Derby database with two clients, and its ingest."""
    name = tmp_path.name.replace("-", "_")
    database = Database(spark, name)
    database.add(1, "ada", "king")
    database.add(2, "Bo", "O''Neil")
    (tmp_path / "sources").mkdir()

    def context(fingerprint="1" * 64, watermark="ID"):
        (tmp_path / "sources" / "client.yaml").write_text(SOURCE.format(name=name, watermark=watermark))
        sources = f"ingest.sources_dir={tmp_path / 'sources'}"
        return lake_context(spark, tmp_path / "lake", sources, fingerprint=fingerprint)

    return database, context


def people(ctx):
    return {r["person_id"]: (r["given_name"], r["family_name"]) for r in ctx.tables.read(PERSON).collect()}


def test_table_is_read_in_full_then_incrementally(shop):
    database, context = shop
    ctx = context()
    assert ingest.run(ctx).num_rows == 2
    clean.run(ctx)
    assert people(ctx) == {"1": ("Ada", "King"), "2": ("Bo", "O'Neil")}
    database.add(3, "Cy", "Lee")
    later = replace(ctx, fingerprint="2" * 64)
    assert ingest.run(later).num_rows == 1
    clean.run(later)
    assert set(people(later)) == {"1", "2", "3"}
    assert later.tables.read(bronze("client")).count() == 3
    marks = [r["watermark"] for r in later.tables.read(DELIVERY).orderBy("watermark").collect()]
    assert marks == ["2", "3"]


def test_table_without_new_rows_writes_nothing(shop):
    _, context = shop
    ctx = context()
    ingest.run(ctx)
    before = ctx.tables.version(bronze("client"))
    assert ingest.run(replace(ctx, fingerprint="3" * 64)).status == "no_new_input"
    assert ctx.tables.version(bronze("client")) == before


def test_unknown_watermark_column_is_rejected(shop):
    _, context = shop
    ingest.run(context())
    with pytest.raises(ConfigError, match=r"jdbc\.watermark: CLIENT has no column NUMBER"):
        ingest.run(context("4" * 64, watermark="NUMBER"))


def test_clock_set_back_keeps_the_order_of_extracts(shop, tmp_path):
    database, context = shop
    # Whole, without a watermark: each extract is compared with the last one.
    ctx = replace(context(), started_at=datetime(2025, 2, 1, 12))
    path = tmp_path / "sources" / "client.yaml"
    path.write_text(path.read_text().replace(", watermark: ID", ""))
    assert ingest.run(ctx).num_rows == 2
    database.add(3, "Cy", "Lee")
    assert ingest.run(replace(ctx, fingerprint="2" * 64, started_at=datetime(2025, 2, 1, 10))).num_rows == 3
    database.run("DELETE FROM CLIENT WHERE ID = 3")
    assert ingest.run(replace(ctx, fingerprint="3" * 64, started_at=datetime(2025, 2, 1, 10, 5))).num_rows == 2
    arrived = [r["arrived_at"] for r in ctx.tables.read(DELIVERY).orderBy("num_rows", "arrived_at").collect()]
    assert arrived == [
        datetime(2025, 2, 1, 12), datetime(2025, 2, 1, 12, 0, 0, 2), datetime(2025, 2, 1, 12, 0, 0, 1),
    ]  # fmt: skip


def test_unreachable_database_is_an_input_error_without_stack_trace(spark, tmp_path):
    (tmp_path / "client.yaml").write_text(SOURCE.format(name="nobody_made_this", watermark="ID"))
    ctx = lake_context(spark, tmp_path / "lake", f"ingest.sources_dir={tmp_path}")
    with pytest.raises(InputError, match="cannot read table CLIENT"):
        ingest.run(ctx)


ERP = """
system: erp
jdbc:
  url: {url}
  table: {table}
  user: crm
  password_env: ERP_PASSWORD
  {options}
feeds:
  person:
    columns: {{person_id: id, given_name: name, updated_at: changed}}
"""
CLIENT = "CREATE TABLE client (id int, name text, changed timestamptz)"


@pytest.fixture(scope="module")
def server():
    if programs() is None:
        pytest.skip("no PostgreSQL on this machine (Debian: apt install postgresql)")
    with postgresql(programs()) as running:
        yield running


class Erp:
    """A PostgreSQL database with an empty table `client`, and its ingest; runs are one hour apart."""

    def __init__(self, server, spark, folder):
        self.server, self.spark, self.folder, self.num_runs = server, spark, folder, 0
        self.name = folder.name.lower()
        server.run("postgres", f'CREATE DATABASE "{self.name}"')
        self.run(CLIENT)

    def run(self, *statements):
        self.server.run(self.name, *statements)

    def add(self, number, name, changed):
        self.run(f"INSERT INTO client VALUES ({number}, '{name}', {changed})")

    def committed_late(self, number, name, changed):
        return self.server.transaction(self.name, f"INSERT INTO client VALUES ({number}, '{name}', {changed})")

    def context(self, options="watermark: changed", table="client"):
        self.num_runs += 1
        (self.folder / "sources").mkdir(exist_ok=True)
        written = ERP.format(url=self.server.url(self.name), table=table, options=options)
        (self.folder / "sources" / "client.yaml").write_text(written)
        ctx = lake_context(
            self.spark,
            self.folder / "lake",
            f"ingest.sources_dir={self.folder / 'sources'}",
            fingerprint=f"{self.num_runs:064d}",
        )
        return replace(ctx, started_at=datetime(2025, 2, 1, self.num_runs))

    def ingest(self, options="watermark: changed"):
        """The rows that came in."""
        return ingest.run(self.context(options)).num_rows

    def records(self, *columns):
        frame = self.context().tables.read(bronze("client"))
        return sorted(tuple(row) for row in frame.select(*(columns or ("id", "name"))).collect())

    def deliveries(self):
        rows = self.context().tables.read(DELIVERY).orderBy("arrived_at").collect()
        return [(row["status"], row["num_rows"], row["watermark"]) for row in rows]


@pytest.fixture
def erp(server, spark, tmp_path, monkeypatch):
    monkeypatch.setenv("ERP_PASSWORD", PASSWORD)
    return Erp(server, spark, tmp_path)


def at(time):
    return f"'2024-03-01 {time}+00'"


def test_increment_contains_only_changes_and_an_empty_one_writes_nothing(erp):
    erp.add(1, "Ada", at("08:00:00"))
    erp.add(2, "Bo", at("09:00:00.123456"))
    assert erp.ingest() == 2
    erp.add(3, "Cy", "'2024-03-01 12:00:00+02'")  # 10:00 UTC
    assert erp.ingest() == 1
    ctx = erp.context()
    before = ctx.tables.version(bronze("client")), ctx.tables.version(DELIVERY)
    assert ingest.run(ctx).status == "no_new_input"
    assert (ctx.tables.version(bronze("client")), ctx.tables.version(DELIVERY)) == before
    assert erp.records() == [("1", "Ada"), ("2", "Bo"), ("3", "Cy")]
    assert erp.deliveries() == [
        ("ingested", 2, "2024-03-01 09:00:00.123456+00"),
        ("ingested", 1, "2024-03-01 10:00:00+00"),
    ]


def test_late_row_with_the_last_watermark_is_ingested(erp):
    erp.add(1, "Ada", at("08:00:00"))
    assert erp.ingest() == 1
    erp.add(2, "Bo", at("08:00:00"))
    assert erp.ingest() == 1
    assert erp.records() == [("1", "Ada"), ("2", "Bo")]


def test_late_commit_within_the_overlap_is_ingested(erp):
    options = "watermark: changed\n  overlap: 60"
    with erp.committed_late(1, "Ada", at("08:00:00")), erp.committed_late(2, "Bo", at("07:58:59")):
        erp.add(3, "Cy", at("08:01:00"))
        assert erp.ingest(options) == 1
    assert erp.ingest(options) == 1
    assert erp.records() == [("1", "Ada"), ("3", "Cy")]  # Bo is 121 seconds below the watermark


def test_rows_with_a_null_watermark_are_ingested_once(erp):
    erp.add(1, "Ada", "NULL")
    assert erp.ingest() == 1
    erp.add(2, "Bo", at("08:00:00"))
    erp.add(3, "Cy", "NULL")
    assert erp.ingest() == 2
    assert erp.ingest() == 0
    assert erp.records() == [("1", "Ada"), ("2", "Bo"), ("3", "Cy")]
    assert erp.deliveries() == [("ingested", 1, None), ("ingested", 2, "2024-03-01 08:00:00+00")]


def test_changed_row_supersedes_the_old_one(erp):
    erp.add(1, "Ada", at("08:00:00"))
    erp.add(2, "Bo", at("08:00:00"))
    erp.ingest()
    clean.run(erp.context())
    erp.run("UPDATE client SET name = 'Eve', changed = changed + interval '1 hour' WHERE id = 1")
    erp.run("ALTER TABLE client ADD COLUMN note text")  # empty in rows that are known: nothing new
    assert erp.ingest() == 1
    clean.run(erp.context())
    assert erp.records() == [("1", "Ada"), ("1", "Eve"), ("2", "Bo")]
    assert {key: name for key, (name, _) in people(erp.context()).items()} == {"1": "Eve", "2": "Bo"}


BIG = "1234567890123456789012345678901"


@pytest.mark.parametrize(
    ("kind", "overlap", "mark", "below", "least", "greatest", "highest"),
    [
        ("bigint", 0, "9", "8", "9", "10", "10"),  # as text 9 is above 10
        ("bigint", 1.5, "9", "6", "7", "8", "8"),  # 9 - 1.5 is above 7, and no bigint
        ("numeric", 0.25, f"{BIG}.5", f"{BIG}.24", f"{BIG}.25", f"{BIG}.7500", f"{BIG}.7500"),
        ("text", 0, "it's a", "it's 9", "it's a", "it's b", "it's b"),
        ("date", 86400, "2024-10-01", "2024-09-29", "2024-09-30", "2024-10-02", "2024-10-02"),
        ("timestamp", 0.5, "2024-03-31 02:30:00", "2024-03-31 02:29:59.4", "2024-03-31 02:29:59.5",
         "2024-03-31 02:30:00.000001", "2024-03-31 02:30:00.000001"),
        ("timestamptz", 60, "2024-03-31 02:30:00+00", "2024-03-31 02:28:59+00", "2024-03-31 04:29:00+02", "infinity",
         "2024-03-31 02:29:00+00"),
    ],
)  # fmt: skip
def test_watermark_is_compared_by_the_database(erp, kind, overlap, mark, below, least, greatest, highest):
    """The overlap is subtracted; null and infinite values are read every time and never become the watermark."""
    erp.run(f"ALTER TABLE client DROP COLUMN changed, ADD COLUMN changed {kind}")
    for number, value in enumerate((below, least, greatest)):
        erp.add(number, "-", f"$${value}$$")
    erp.add(3, "-", "NULL")
    jdbc = Jdbc(
        url=erp.server.url(erp.name), user="crm", password_env="ERP_PASSWORD", table="client",
        watermark="changed", overlap=overlap,
    )  # fmt: skip
    rows = read_table(erp.context(), jdbc, newer_than=mark).collect()
    assert sorted(row["id"] for row in rows) == ["1", "2", "3"]
    assert {row["_watermark"] for row in rows} == {highest}


def test_values_are_the_text_form_of_postgresql(erp):
    literals = {
        "big": ("bigint", "9007199254740993", "9007199254740993"),
        "exact": ("numeric", "12345678901234567890123.4500", "12345678901234567890123.4500"),
        "price": ("numeric(12,2)", "10.5", "10.50"),
        "ratio": ("double precision", "0.1", "0.1"),
        "is_member": ("boolean", "true", "true"),
        "seen": ("timestamptz", "'2024-03-31 02:30:00.123456+01'", "2024-03-31 01:30:00.123456Z"),
        "local": ("timestamp", "'2024-03-31 02:30:00.5'", "2024-03-31 02:30:00.5"),
        "born": ("date", "'1899-12-31'", "1899-12-31"),
        "opens": ("time", "'23:59:59.999999'", "23:59:59.999999"),
        "photo": ("bytea", r"'\x00ff10'", r"\x00ff10"),
        "written": ("json", """'{"b": 1,  "a": [1.0]}'""", '{"b": 1,  "a": [1.0]}'),
        "stored": ("jsonb", """'{"b": 1,  "a": [1.0]}'""", '{"a": [1.0], "b": 1}'),
        "tags": ("text[]", "ARRAY['a,b', NULL, '']", '{"a,b",NULL,""}'),
        "grid": ("int[][]", "'{{1,2},{3,4}}'", "{{1,2},{3,4}}"),
        "key": ("uuid", "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        "spaced": ("text", "E' Zo\\u00eb\\n'", " Zo\u00eb\n"),
        "empty": ("text", "''", ""),
        "nothing": ("numeric", "NULL", None),
        '"Odd, name"': ("text", "'x'", "x"),
    }
    erp.run(f'ALTER DATABASE "{erp.name}" SET bytea_output = escape')
    erp.run(
        "DROP TABLE client",
        f"CREATE TABLE client ({', '.join(f'{name} {kind}' for name, (kind, _, _) in literals.items())})",
        f"INSERT INTO client VALUES ({', '.join(value for _, value, _ in literals.values())})",
    )
    assert erp.ingest("") == 1
    columns = [f"`{encoded(name.strip(chr(34)), 0)}`" for name in literals]
    assert erp.records(*columns) == [tuple(text for _, _, text in literals.values())]


def test_table_restored_to_earlier_content_is_a_new_delivery(erp):
    erp.add(1, "Ada", "NULL")
    assert erp.ingest("") == 1
    for name in ("Eve", "Ada"):
        erp.run(f"UPDATE client SET name = '{name}'")
        assert erp.ingest("") == 1
    assert erp.records() == [("1", "Ada"), ("1", "Ada"), ("1", "Eve")]


@pytest.mark.parametrize("num_commits", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_interrupted_run_loses_and_repeats_no_rows(erp, num_commits):
    """Interrupted at the commit of the records, or at the commit of their status."""
    erp.add(1, "Ada", at("08:00:00"))
    ctx = erp.context()
    commits = iter(range(num_commits))

    def dies():
        if next(commits, None) is None:
            raise KeyboardInterrupt
        return nullcontext()

    ctx.tables.committing = dies
    with pytest.raises(KeyboardInterrupt):
        ingest.run(ctx)
    erp.run("UPDATE client SET name = 'Eve', changed = changed + interval '1 hour'")
    erp.add(2, "Bo", at("08:00:00"))
    # What was committed, Ada, is counted by the run that says so.
    assert erp.ingest() == num_commits + 1
    assert erp.records() == [("1", "Ada"), ("1", "Eve"), ("2", "Bo")][2 - num_commits :]
    tables = erp.context().tables
    ingested = tables.read(DELIVERY).where("status = 'ingested'").select("batch_id")
    assert set(ingested.collect()) == set(tables.read(bronze("client")).select("_batch_id").distinct().collect())


@pytest.mark.parametrize(
    ("password", "table", "sentence"),
    [
        ("wrong secret", "client", "cannot read table client: authentication failed"),
        (PASSWORD, "clients", "cannot read table clients: table not found or permission denied"),
    ],
)
def test_database_error_is_a_one_line_message_without_the_password(erp, monkeypatch, password, table, sentence):
    monkeypatch.setenv("ERP_PASSWORD", password)
    with pytest.raises(InputError) as error:
        ingest.run(erp.context(table=table))
    message = str(error.value)
    assert message.startswith(f"client: {sentence}") and "; check jdbc." in message
    assert "\n" not in message and password not in message
    assert error.value.__suppress_context__


def test_missing_watermark_column_is_rejected_before_reading(erp):
    with pytest.raises(
        ConfigError, match=r"jdbc\.watermark: client has no column changed_at; expected one of \['id', 'name'"
    ):
        erp.ingest("watermark: changed_at")
