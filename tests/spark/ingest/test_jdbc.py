"""A database as a source: a real one (Derby, which Spark brings), read whole at first and then what is new."""

from dataclasses import replace

import pytest
from support.lake import lake_context

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import DELIVERY
from crm_spark.contracts.silver import PERSON
from crm_spark.core.errors import ConfigError, InputError
from crm_spark.stages.clean import stage as clean
from crm_spark.stages.ingest import stage as ingest

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
    """A database with two clients, and what ingests it."""
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


def test_a_table_is_read_whole_and_then_only_what_is_above_the_watermark(shop):
    database, context = shop
    ctx = context()
    assert ingest.run(ctx).num_rows == 2
    clean.run(ctx)
    assert people(ctx) == {"1": ("Ada", "King"), "2": ("Bo", "O'neil")}
    database.add(3, "Cy", "Lee")
    later = replace(ctx, fingerprint="2" * 64)
    assert ingest.run(later).num_rows == 1
    clean.run(later)
    assert set(people(later)) == {"1", "2", "3"}
    assert later.tables.read(bronze("client")).count() == 3
    marks = [r["watermark"] for r in later.tables.read(DELIVERY).orderBy("watermark").collect()]
    assert marks == ["2", "3"]


def test_a_table_with_nothing_new_writes_nothing(shop):
    _, context = shop
    ctx = context()
    ingest.run(ctx)
    before = ctx.tables.version(bronze("client"))
    assert ingest.run(replace(ctx, fingerprint="3" * 64)).status == "nothing"
    assert ctx.tables.version(bronze("client")) == before


def test_an_unknown_watermark_column_is_said_once_there_is_something_to_compare(shop):
    _, context = shop
    ingest.run(context())
    with pytest.raises(ConfigError, match=r"jdbc\.watermark: CLIENT has no column NUMBER"):
        ingest.run(context("4" * 64, watermark="NUMBER"))


def test_a_database_that_cannot_be_reached_is_an_input_error_without_its_stack(spark, tmp_path):
    (tmp_path / "client.yaml").write_text(SOURCE.format(name="nobody_made_this", watermark="ID"))
    ctx = lake_context(spark, tmp_path / "lake", f"ingest.sources_dir={tmp_path}")
    with pytest.raises(InputError, match="CLIENT cannot be read from the database"):
        ingest.run(ctx)
