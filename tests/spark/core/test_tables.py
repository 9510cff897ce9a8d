"""Writes happen once, whole, and only as the contract allows. Read back by a reader that shares no code with Spark."""

import pytest
from deltalake import DeltaTable

from crm_spark.contracts.types import LONG, STRING
from crm_spark.core.contract import Sensitivity, TableContract, optional, required
from crm_spark.core.errors import BatchConflictError, ContractError
from crm_spark.core.tables import TableStore

NOTE = TableContract(
    name="silver.note",
    grain=("id",),
    doc="A note.",
    columns=(
        required("id", STRING, "Id."),
        required("size", LONG, "Size."),
        optional("mail", STRING, "Mail.", Sensitivity.PERSONAL),
    ),
)


def notes(spark, *rows):
    return spark.createDataFrame(rows, "id string, size long, mail string")


def content(store):
    table = DeltaTable(store.path(NOTE)).to_pyarrow_table().to_pylist()
    return sorted((row["id"], row["size"], row["mail"]) for row in table)


def test_repeated_batch_is_written_once(spark, store):
    for is_duplicate in (False, True, True):
        assert store.append(NOTE, notes(spark, ("a", 1, None)), batch_id="b1", digest="d").is_duplicate == is_duplicate
    assert content(store) == [("a", 1, None)]


def test_same_batch_id_with_different_content_is_rejected_for_every_kind_of_write(spark, store):
    store.append(NOTE, notes(spark, ("a", 1, None)), batch_id="b1", digest="one")
    for write in (store.append, store.merge, store.replace):
        with pytest.raises(BatchConflictError, match="batch b1 was committed before with different content"):
            write(NOTE, notes(spark, ("b", 2, None)), batch_id="b1", digest="two")
    assert content(store) == [("a", 1, None)]


def test_merge_inserts_and_updates_and_does_not_touch_equal_rows(spark, store):
    store.merge(NOTE, notes(spark, ("a", 1, "x"), ("b", 2, None)), batch_id="b1", digest="1")
    store.merge(NOTE, notes(spark, ("a", 1, "x"), ("b", 3, None), ("c", 4, None)), batch_id="b2", digest="2")
    assert content(store) == [("a", 1, "x"), ("b", 3, None), ("c", 4, None)]
    store.merge(NOTE, notes(spark, ("c", 9, None), ("d", 5, None)), batch_id="b3", digest="3", insert_only=True)
    assert content(store) == [("a", 1, "x"), ("b", 3, None), ("c", 4, None), ("d", 5, None)]


def test_committed_merge_is_not_applied_again(spark, store):
    store.merge(NOTE, notes(spark, ("a", 1, None)), batch_id="b1", digest="1")
    store.merge(NOTE, notes(spark, ("a", 2, None)), batch_id="b2", digest="2")
    assert store.merge(NOTE, notes(spark, ("a", 2, None)), batch_id="b2", digest="2").is_duplicate
    assert store.version(NOTE) == 1  # created with its first rows, merged


def test_replace_touches_only_the_rows_it_names(spark, store):
    store.append(NOTE, notes(spark, ("a", 1, None), ("b", 2, None)), batch_id="b1", digest="1")
    store.replace(NOTE, notes(spark, ("c", 2, None)), batch_id="b2", digest="2", where={"size": 2})
    assert content(store) == [("a", 1, None), ("c", 2, None)]


def test_two_rows_with_the_same_grain_are_rejected_and_nothing_is_written(spark, store):
    with pytest.raises(ContractError, match=r"2 rows have only 1 distinct keys of grain \['id'\]"):
        store.append(NOTE, notes(spark, ("a", 1, None), ("a", 2, None)), batch_id="b1", digest="1")
    assert not store.exists(NOTE)


@pytest.mark.parametrize("is_unique", [False, True])
@pytest.mark.parametrize("kind", ["append", "replace", "merge"])
def test_null_in_a_required_column_is_reported_with_column_and_number_of_rows(spark, store, kind, is_unique):
    store.append(NOTE, notes(spark, ("a", 1, None)), batch_id="b0", digest="0")
    rows = notes(spark, ("secret", None, "me@home.example"))
    with pytest.raises(ContractError, match=r"null values in required columns, rows by column: \{'size': 1\}"):
        getattr(store, kind)(NOTE, rows, batch_id="b1", digest="1", is_unique=is_unique)
    assert content(store) == [("a", 1, None)]


@pytest.mark.parametrize("is_unique", [False, True])
def test_the_number_of_written_rows_is_returned(spark, store, is_unique):
    three = notes(spark, ("a", 1, None), ("b", 2, None), ("c", 3, None))
    assert store.append(NOTE, three, batch_id="b1", digest="1", is_unique=is_unique).num_rows == 3
    changed = notes(spark, ("a", 1, None), ("b", 5, None), ("d", 4, None))
    assert store.merge(NOTE, changed, batch_id="b2", digest="2", is_unique=is_unique).num_rows == 2  # b and d
    assert store.replace(NOTE, three.limit(1), batch_id="b3", digest="3", is_unique=is_unique).num_rows == 1


def test_concurrent_merges_keep_their_own_batch_ids(spark, store):
    from concurrent.futures import ThreadPoolExecutor

    tables = [TableContract(f"silver.note{i}", NOTE.grain, NOTE.columns, NOTE.doc) for i in range(4)]
    for table in tables:
        store.append(table, notes(spark, ("a", 1, None)), batch_id="b0", digest="0")

    def merge(i):
        return store.merge(tables[i], notes(spark, ("a", i + 2, None)), batch_id=f"m{i}", digest=str(i)).num_rows

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(merge, range(4))) == [1, 1, 1, 1]
    for i, table in enumerate(tables):
        assert store.committed(table, f"m{i}", str(i))
        assert not any(store.committed(table, f"m{j}", str(j)) for j in range(4) if j != i)
        assert [row["size"] for row in store.read(table).collect()] == [i + 2]


def test_additional_column_or_different_type_is_rejected(spark, store):
    with pytest.raises(ContractError, match=r"missing \['mail'\], unexpected \['post'\]"):
        store.append(NOTE, notes(spark, ("a", 1, None)).withColumnRenamed("mail", "post"), batch_id="b", digest="1")
    with pytest.raises(ContractError, match="size: expected bigint, got string"):
        store.append(
            NOTE,
            spark.createDataFrame([("a", "1", "m")], "id string, size string, mail string"),
            batch_id="b",
            digest="1",
        )


def test_transaction_log_contains_no_personal_columns(spark, store, tmp_path):
    store.append(NOTE, notes(spark, ("a", 1, "zz-canary@home.example")), batch_id="b1", digest="1")
    log = b"".join(path.read_bytes() for path in (tmp_path / "lake/silver/note/_delta_log").iterdir() if path.is_file())
    assert b"minValues" in log and b"canary" not in log


def test_a_dry_run_checks_and_writes_nothing(spark, tmp_path):
    from crm_spark.core.tables import TableStore

    store = TableStore(spark, str(tmp_path / "dry"), is_dry_run=True)
    assert store.append(NOTE, notes(spark, ("a", 1, None)), batch_id="b1", digest="1").num_rows == 1
    assert not (tmp_path / "dry").exists()


def test_run_that_lost_the_lease_commits_nothing(spark, tmp_path):
    from crm_spark.core.errors import LeaseHeldError
    from crm_spark.core.tables import TableStore

    def lost():
        raise LeaseHeldError("lost")

    store = TableStore(spark, str(tmp_path / "lake"), committing=lost)
    with pytest.raises(LeaseHeldError):
        store.append(NOTE, notes(spark, ("a", 1, None)), batch_id="b1", digest="1")
    assert not store.exists(NOTE)


def test_with_a_catalog_tables_are_also_found_by_name(spark, tmp_path):
    schema = "crm_test"
    spark.sql(f"CREATE SCHEMA IF NOT EXISTS {schema} LOCATION '{tmp_path / 'schema'}'")
    store = TableStore(spark, str(tmp_path / "lake"), catalog=schema)
    store.append(NOTE, notes(spark, ("a", 1, None)), batch_id="b1", digest="d")
    try:
        assert [tuple(r) for r in spark.table(f"{schema}.silver_note").collect()] == [("a", 1, None)]
    finally:
        spark.sql(f"DROP SCHEMA {schema} CASCADE")
