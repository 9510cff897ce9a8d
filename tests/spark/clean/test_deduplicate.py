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
    known = existing.withColumns({"source": F.lit("shop"), IS_ORIGIN: F.lit(False)})
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
        ("a", None, "h9", "r1", 0, True, "paid", "Lamp"),
        ("a", None, "h9", "r2", 0, True, "paid", "Lamp"),
        ("a", None, "h8", "r3", 0, True, "void", "Lamp"),
        ("a", None, "h7", "r4", 0, True, None, "Rug"),
    ]
    assert contradicted(spark, rows) == {"r2": ",,", "r3": ",status,", "r4": ",name,"}, (
        "an unknown status is no conflict"
    )


def test_older_version_does_not_conflict_but_silver_row_of_equal_age_does(spark):
    late, early = ("a", LATE, "h1", "r1", 0, True, "paid", "Lamp"), ("a", EARLY, "h9", "r2", 0, True, "open", "Lamp")
    assert contradicted(spark, [late, early]) == {}
    in_silver = ("a", LATE, "h2", "old", 0, True, "void", "Lamp")
    assert contradicted(spark, [late], [in_silver]) == {"r1": ",status,"}
