"""Deduplication by key does not depend on the order of arrival."""

from datetime import datetime
from itertools import permutations

from pyspark.sql import functions as F

from crm_spark.stages.clean.deduplicate import mark_duplicates
from crm_spark.stages.clean.lines import CONTRADICTED, LATER_LINE
from crm_spark.stages.clean.survivorship import IS_ORIGIN, Survivorship

SCHEMA = "id string, updated_at timestamp, record_hash string, row_id string, _rank int, _is_one_row_per_key boolean"
NOT_MERGED = Survivorship("person", (), {})


def marked(valid, existing, compared=()):
    """`mark_duplicates` of rows of one source that are no later lines."""
    own = {"source": F.lit("shop"), LATER_LINE: F.lit(False), CONTRADICTED: F.lit(None).cast("string")}
    if "_file" not in valid.columns:
        valid = valid.withColumns(dict(zip(("batch_id", "_file"), [F.col("row_id")] * 2, strict=True)))
        valid = valid.withColumns({"_arrived_at": F.lit(LATE), "_position": F.lit(0).cast("long")})
    types = {"_arrived_at": "timestamp", "_file": "string", "_position": "bigint"}
    at = {name: F.lit(None).cast(kind) for name, kind in types.items()}
    known = existing.withColumns({"source": F.lit("shop"), IS_ORIGIN: F.lit(False), **at})
    return mark_duplicates(valid.withColumns(own), known, NOT_MERGED, key=("id",), compared=compared)


EARLY, LATE = datetime(2025, 1, 1), datetime(2025, 2, 1)
ROWS = [
    ("a", EARLY, "h1", "r1", 0, False),
    ("a", LATE, "h2", "r2", 0, False),
    ("a", LATE, "h2", "r3", 0, False),
    ("b", None, "h9", "r4", 0, False),
]


def duplicates(spark, rows, in_silver=()):
    valid = spark.createDataFrame(rows, SCHEMA).withColumn("_reasons", F.array().cast("array<string>"))
    rows = marked(valid, spark.createDataFrame(list(in_silver), SCHEMA))
    return {row["row_id"]: row["_duplicate"] for row in rows.select("row_id", F.col("_duplicate")).collect()}


def test_latest_version_wins_in_any_order(spark):
    expected = {"r1": "superseded", "r2": None, "r3": "exact_duplicate", "r4": None}
    for order in list(permutations(ROWS))[::5]:
        assert duplicates(spark, list(order)) == expected


def test_record_already_in_silver_is_an_exact_duplicate(spark):
    assert duplicates(spark, [ROWS[1]], in_silver=[("a", LATE, "h2", "old", 0, False)]) == {"r2": "exact_duplicate"}


def test_record_older_than_silver_is_superseded(spark):
    assert duplicates(spark, [ROWS[0]], in_silver=[("a", LATE, "h2", "old", 0, False)]) == {"r1": "superseded"}


def test_at_equal_times_the_source_of_higher_rank_wins(spark):
    rows = [("a", LATE, "h5", "r1", 0, False), ("a", LATE, "h1", "r2", 1, False)]
    assert duplicates(spark, rows) == {"r1": "superseded", "r2": None}


def test_quarantined_rows_are_neither_kept_nor_compared(spark):
    rows = spark.createDataFrame([*ROWS, ("a", LATE, "h2", "r5", 9, False)], SCHEMA)
    decided = rows.withColumn("_reasons", F.when(F.col("row_id") == "r5", F.array(F.lit("bad"))).otherwise(F.array()))
    rows = marked(decided, spark.createDataFrame([], SCHEMA)).collect()
    expected = {"r1": "superseded", "r2": None, "r3": "exact_duplicate", "r4": None, "r5": None}
    assert {row["row_id"]: row["_duplicate"] for row in rows} == expected


def contradicted(spark, rows, in_silver=()):
    schema = f"{SCHEMA}, status string, name string"
    valid = spark.createDataFrame(rows, schema).withColumn("_reasons", F.array().cast("array<string>"))
    existing = spark.createDataFrame(list(in_silver), schema)
    rows = marked(valid, existing, compared=["name", "status"]).collect()
    return {row["row_id"]: row["_contradicted"] for row in rows if row["_contradicted"] is not None}


def test_conflicting_columns_of_rows_with_one_key_are_listed(spark):
    rows = [
        ("a", LATE, "h9", "r1", 0, True, "paid", "Lamp"),
        ("a", LATE, "h9", "r2", 0, True, "paid", "Lamp"),
        ("a", LATE, "h8", "r3", 0, True, "void", "Lamp"),
        ("a", LATE, "h7", "r4", 0, True, None, "Rug"),
    ]
    assert contradicted(spark, rows) == {"r2": ",,", "r3": ",status,", "r4": ",name,"}, (
        "an unknown status is no conflict"
    )


def test_older_version_does_not_conflict_but_silver_row_of_equal_age_does(spark):
    late, early = ("a", LATE, "h1", "r1", 0, True, "paid", "Lamp"), ("a", EARLY, "h9", "r2", 0, True, "open", "Lamp")
    assert contradicted(spark, [late, early]) == {}
    in_silver = ("a", LATE, "h2", "old", 0, True, "void", "Lamp")
    assert contradicted(spark, [late], [in_silver]) == {"r1": ",status,"}


DELIVERED = (
    "id string, updated_at timestamp, record_hash string, row_id string, _rank int, _is_one_row_per_key boolean, "
    "batch_id string, _file string, _position long, _arrived_at timestamp"
)


def undated(key, digest, row_id, file, position, arrived):
    return (key, None, digest, row_id, 0, False, f"b{arrived.month}{file}", file, position, arrived)


def kept_of(spark, rows, in_silver=()):
    valid = spark.createDataFrame(rows, DELIVERED).withColumn("_reasons", F.array().cast("array<string>"))
    result = marked(valid, spark.createDataFrame(list(in_silver), SCHEMA))
    return {row["row_id"]: row["_duplicate"] for row in result.select("row_id", "_duplicate").collect()}


def test_without_update_time_the_last_delivered_record_is_kept(spark):
    """Record hashes point the other way: they do not decide."""
    rows = [
        undated("run", "z", "f:0:r1", "2024.csv", 0, EARLY), undated("run", "a", "f:0:r2", "2023.csv", 0, LATE),
        undated("file", "z", "f:0:f1", "export_9.csv", 5, LATE), undated("file", "a", "f:0:f2", "export_10.csv", 0, LATE),
        undated("line", "z", "f:0:l1", "one.csv", 3, LATE), undated("line", "a", "f:0:l2", "one.csv", 4, LATE),
        undated("block", "z", "f:9:b1", "one.csv", 9, LATE), undated("block", "a", "f:10:b2", "one.csv", 0, LATE),
    ]  # fmt: skip
    expected = {
        "f:0:r1": "superseded", "f:0:r2": None, "f:0:f1": "superseded", "f:0:f2": None,
        "f:0:l1": "repeated_key", "f:0:l2": None, "f:9:b1": "repeated_key", "f:10:b2": None,
    }  # fmt: skip
    assert kept_of(spark, rows) == kept_of(spark, rows[::-1]) == expected


def test_without_update_time_a_new_record_replaces_silver_unless_it_says_the_same(spark):
    rows = [undated("a", "a", "f:0:1", "x.csv", 0, LATE), undated("b", "same", "f:0:2", "x.csv", 1, LATE)]
    silver = [("a", None, "z", "old1", 0, False), ("b", None, "same", "old2", 0, False)]
    assert kept_of(spark, rows, silver) == {"f:0:1": None, "f:0:2": "exact_duplicate"}


def test_a_record_that_returns_to_its_former_values_is_new(spark):
    rows = [undated("a", "first", "f:0:3", "x.csv", 0, LATE)]
    assert kept_of(spark, rows, [("a", None, "second", "old", 0, False)]) == {"f:0:3": None}


def test_records_of_one_file_with_one_key_and_age_are_told_apart_from_old_versions(spark):
    rows = [
        ("a", LATE, "h1", "f:0:1", 0, False, "b", "x.csv", 0, LATE), ("a", LATE, "h2", "f:0:2", 0, False, "b", "x.csv", 1, LATE),
        ("a", EARLY, "h3", "f:0:3", 0, False, "b", "x.csv", 2, LATE), ("a", LATE, "h1", "f:0:4", 0, False, "c", "y.csv", 0, LATE),
    ]  # fmt: skip
    expected = {"f:0:1": "repeated_key", "f:0:2": None, "f:0:3": "superseded", "f:0:4": "superseded"}
    assert kept_of(spark, rows) == expected


def test_of_equal_records_the_first_is_kept(spark):
    """Even if a later one of them decides that these values are the last ones."""
    rows = [
        undated("a", "x", "f:0:1", "x.csv", 0, LATE), undated("a", "y", "f:0:2", "x.csv", 1, LATE),
        undated("a", "x", "f:0:3", "x.csv", 2, LATE),
    ]  # fmt: skip
    assert kept_of(spark, rows) == {"f:0:1": None, "f:0:2": "repeated_key", "f:0:3": "exact_duplicate"}
    silver = [("a", None, "x", "old", 0, False)]
    assert kept_of(spark, rows, silver) == {
        "f:0:1": "exact_duplicate",
        "f:0:2": "repeated_key",
        "f:0:3": "exact_duplicate",
    }
