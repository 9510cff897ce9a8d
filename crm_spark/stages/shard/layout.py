"""Assign rows to row groups of equal size in an order given by a seed."""

from math import ceil, log2

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

_BUCKET_ROWS = 20_000


def num_groups(num_rows: int, *, rows_per_group: int, max_world_size: int) -> int:
    """Return the number of row groups of a split, a multiple of `max_world_size`."""
    return max_world_size * max(1, -(-num_rows // (rows_per_group * max_world_size)))


def with_groups(rows: DataFrame, *, num_rows: int, num_groups: int, seed: int) -> DataFrame:
    """Add `position` in the order of a seeded hash, and `group`; group sizes differ by at most one.

    The order is independent of partitioning and arrival. A global sort is avoided: the leading bits of the hash form
    buckets of similar size, which are sorted separately.

    Args:
        rows: text_hash, row; unique together.
        num_rows: number of rows.
        num_groups: number of row groups.
        seed: of the hash.
    """
    bits = max(0, ceil(log2(max(1, num_rows) / _BUCKET_ROWS)))
    hash_value = F.xxhash64(F.lit(seed), F.col("text_hash"))
    bucket = F.shiftrightunsigned(hash_value, 64 - bits).cast("int") if bits else F.lit(0)
    hashed = rows.withColumn("_hash", hash_value).withColumn("_bucket", bucket)
    sizes = {row["_bucket"]: row["count"] for row in hashed.groupBy("_bucket").count().collect()} if bits else {}
    before = [sum(size for other, size in sizes.items() if other < number) for number in range(2**bits)]
    order = Window.partitionBy("_bucket").orderBy("_hash", "text_hash", "row")
    position = F.row_number().over(order) - 1 + F.element_at(F.lit(before), F.col("_bucket") + 1)
    ordered = hashed.withColumn("position", position)
    return ordered.withColumn("group", F.col("position") % num_groups).drop("_hash", "_bucket")
