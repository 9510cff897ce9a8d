"""Where each row of a shard set goes: rows to splits, to equal row groups, in an order that a seed decides."""

from math import ceil, log2

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

_BUCKET_ROWS = 20_000


def num_groups(num_rows: int, *, rows_per_group: int, max_world_size: int) -> int:
    """Row groups of a split: a multiple of the largest world size, none over the wanted size."""
    return max_world_size * max(1, -(-num_rows // (rows_per_group * max_world_size)))


def with_groups(rows: DataFrame, *, num_rows: int, num_groups: int, seed: int) -> DataFrame:
    """Adds `position`, the row's place in the order of a seeded hash, and its `group`: sizes differ by one at most.

    The order neither depends on partitions nor on the order of arrival. It is found without sorting all rows in one
    place: a hash is even, so its leading bits cut the rows into buckets of like size, each ordered by itself.

    Args:
        rows: text_hash, row; unique together.
        num_rows: of `rows`.
        num_groups: to deal the rows to.
        seed: of the hash.
    """
    bits = max(0, ceil(log2(max(1, num_rows) / _BUCKET_ROWS)))
    draw = F.xxhash64(F.lit(seed), F.col("text_hash"))
    bucket = F.shiftrightunsigned(draw, 64 - bits).cast("int") if bits else F.lit(0)
    drawn = rows.withColumn("_draw", draw).withColumn("_bucket", bucket)
    sizes = {row["_bucket"]: row["count"] for row in drawn.groupBy("_bucket").count().collect()} if bits else {}
    before = [sum(size for other, size in sizes.items() if other < number) for number in range(2**bits)]
    order = Window.partitionBy("_bucket").orderBy("_draw", "text_hash", "row")
    position = F.row_number().over(order) - 1 + F.element_at(F.lit(before), F.col("_bucket") + 1)
    placed = drawn.withColumn("position", position)
    return placed.withColumn("group", F.col("position") % num_groups).drop("_draw", "_bucket")
