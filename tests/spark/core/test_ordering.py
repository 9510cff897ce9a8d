"""Positions over all rows are those of one window, however the rows are partitioned."""

import pytest
from pyspark.sql import Window
from pyspark.sql import functions as F

from crm_spark.core.ordering import with_position


def test_positions_count_from_zero_in_the_order_of_the_columns(spark):
    frame = spark.createDataFrame([("b", 2), ("a", 1), ("c", 2), ("d", None)], "name string, n int")
    placed, total = with_position(frame, [F.col("n").desc(), "name"], "at")
    assert total == 4 and placed.columns == ["name", "n", "at"]
    assert {row["name"]: row["at"] for row in placed.collect()} == {"b": 0, "c": 1, "a": 2, "d": 3}


@pytest.mark.parametrize("num_partitions", [1, 2, 7])
def test_positions_are_those_of_a_window(spark, num_partitions):
    # 300 rows with many ties, and more partitions than values of the first column.
    rows = spark.range(300).select((F.col("id") * 7919 % 3).alias("group"), (F.col("id") * 104729 % 300).alias("n"))
    frame = rows.repartition(num_partitions, "n")
    placed, total = with_position(frame, ["group", "n"], "at")
    expected = F.row_number().over(Window.orderBy("group", "n")) - 1
    assert total == 300
    assert placed.withColumn("expected", expected).where("at <> expected").count() == 0


def test_equal_rows_get_different_positions(spark):
    frame = spark.createDataFrame([("a",)] * 5 + [("b",)] * 5, "name string").repartition(4)
    placed, _ = with_position(frame, ["name"], "at")
    found = sorted((row["name"], row["at"]) for row in placed.collect())
    assert found == [("a", n) for n in range(5)] + [("b", n) for n in range(5, 10)]


def test_no_rows_no_positions(spark):
    placed, total = with_position(spark.createDataFrame([], "name string"), ["name"], "at")
    assert total == 0 and placed.schema.simpleString() == "struct<name:string,at:bigint>" and placed.collect() == []
