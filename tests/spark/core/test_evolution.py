"""A table written by an older contract is read and written under a newer one; its history stays readable."""

from deltalake import DeltaTable

from crm_spark.contracts.types import LONG, STRING
from crm_spark.core.contract import TableContract, optional, required
from crm_spark.core.tables import TableStore, delta_log

ID, SIZE = required("id", STRING, "Id."), required("size", LONG, "Size.")
OLD = TableContract("silver.note", ("id",), (ID, SIZE), "A note.")
NEW = TableContract(
    "silver.note", ("id",), (ID, optional("kind", STRING, "Kind."), SIZE, required("num", LONG, "Number.")), "A note."
)


def filled(spark, tmp_path):
    store = TableStore(spark, str(tmp_path / "lake"))
    store.append(OLD, spark.createDataFrame([("a", 1)], "id string, size long"), batch_id="b1", digest="1")
    return TableStore(spark, str(tmp_path / "lake"))


def new_rows(spark, *rows):
    return spark.createDataFrame(rows, "id string, kind string, size long, num long")


def test_columns_added_to_a_contract_read_null_before_any_write(spark, tmp_path):
    frame = filled(spark, tmp_path).read(NEW)
    assert frame.columns == ["id", "kind", "size", "num"]
    assert [tuple(row) for row in frame.collect()] == [("a", None, 1, None)]


def test_every_kind_of_write_adds_the_columns(spark, tmp_path):
    for number, kind in enumerate(("append", "merge", "replace")):
        store = filled(spark, tmp_path / kind)
        getattr(store, kind)(NEW, new_rows(spark, ("b", "x", 2, 3)), batch_id="b2", digest=str(number))
        rows = DeltaTable(store.path(NEW)).to_pyarrow_table().to_pylist()
        old = [] if kind == "replace" else [{"id": "a", "size": 1, "kind": None, "num": None}]
        assert sorted(rows, key=lambda row: row["id"]) == [*old, {"id": "b", "size": 2, "kind": "x", "num": 3}]


def test_versions_from_before_the_change_stay_readable(spark, tmp_path):
    store = filled(spark, tmp_path)
    before = store.version(NEW)
    store.merge(NEW, new_rows(spark, ("a", "x", 5, 6)), batch_id="b2", digest="2")
    assert [tuple(row) for row in store.read(NEW, version=before).collect()] == [("a", None, 1, None)]
    assert [tuple(row) for row in store.read(NEW).collect()] == [("a", "x", 5, 6)]


def test_column_dropped_from_the_contract_is_not_read(spark, tmp_path):
    store = filled(spark, tmp_path)
    store.merge(NEW, new_rows(spark, ("b", "x", 5, 6)), batch_id="b2", digest="2")
    assert sorted(tuple(row) for row in store.read(OLD).collect()) == [("a", 1), ("b", 5)]


def test_retention_left_by_a_killed_expiry_is_removed_by_the_next_write(spark, tmp_path):
    store = filled(spark, tmp_path)
    delta_log.set_properties(spark, store.path(OLD), {delta_log.RETENTION_PROPERTY: "interval 9 days"})
    store.append(OLD, spark.createDataFrame([("b", 2)], "id string, size long"), batch_id="b2", digest="1")
    assert delta_log.RETENTION_PROPERTY not in store.state(OLD).properties
    assert store.state(OLD).num_known_transactions == 2


def test_column_that_the_contract_no_longer_requires_may_be_null(spark, tmp_path):
    store = TableStore(spark, str(tmp_path / "lake"))
    # A write to a part of a table creates it first, with the contract's required columns.
    first = spark.createDataFrame([("a", 1)], "id string, size long")
    store.replace(OLD, first, batch_id="b1", digest="1", where={"id": "a"})
    assert store.state(OLD).required_columns == ["id", "size"]
    relaxed = TableContract("silver.note", ("id",), (ID, optional("size", LONG, "Size.")), "A note.")
    store = TableStore(spark, str(tmp_path / "lake"))
    store.append(relaxed, spark.createDataFrame([("b", None)], "id string, size long"), batch_id="b2", digest="2")
    assert sorted(tuple(row) for row in store.read(relaxed).collect()) == [("a", 1), ("b", None)]
    assert store.state(relaxed).required_columns == ["id"]
