"""Assignment of rows to row groups."""

import pytest
from pyspark.sql import functions as F

from crm_spark.stages.shard import layout


def placed(frame, *, num_rows, num_groups, seed=5):
    rows = layout.with_groups(frame, num_rows=num_rows, num_groups=num_groups, seed=seed).collect()
    return {(row["text_hash"], row["row"]): (row["position"], row["group"]) for row in rows}


@pytest.fixture(scope="module")
def frame(spark):
    """1,000 texts, of which every tenth has two rows."""
    texts = spark.range(1000).select(F.sha2(F.col("id").cast("string"), 256).alias("text_hash"), "id")
    both = texts.withColumn(
        "row", F.explode(F.when(F.col("id") % 10 == 0, F.array(F.lit(0), F.lit(1))).otherwise(F.array(F.lit(0))))
    )
    return both.drop("id")


def test_positions_are_unique_and_groups_are_equal(frame):
    positions = placed(frame, num_rows=1100, num_groups=8)
    assert sorted(position for position, _ in positions.values()) == list(range(1100))
    sizes = [sum(group == g for _, group in positions.values()) for g in range(8)]
    assert set(sizes) == {137, 138}


def test_order_is_independent_of_buckets_and_partitions(frame, monkeypatch):
    whole = placed(frame, num_rows=1100, num_groups=8)
    assert placed(frame.repartition(7), num_rows=1100, num_groups=8) == whole
    monkeypatch.setattr(layout, "_BUCKET_ROWS", 50)
    cut = placed(frame, num_rows=1100, num_groups=8)
    assert sorted(position for position, _ in cut.values()) == list(range(1100))
    assert cut == placed(frame.orderBy("text_hash").repartition(3), num_rows=1100, num_groups=8)


def test_order_depends_on_the_seed(frame):
    one, other = (placed(frame, num_rows=1100, num_groups=8, seed=seed) for seed in (1, 2))
    assert sum(one[key] == other[key] for key in one) < 20
