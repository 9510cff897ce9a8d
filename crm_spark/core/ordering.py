"""Positions in an order over all rows of a frame, without a window that holds them all in one task."""

from collections.abc import Sequence

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

_PARTITION, _ID = "__partition", "__row"
_BITS = 33
"""`monotonically_increasing_id` counts the rows of a partition in its lower 33 bits."""


def with_position(frame: DataFrame, order: Sequence[str | Column], name: str) -> tuple[DataFrame, int]:
    """Add the position of each row, from 0, as a long.

    The rows are sorted in parallel and persisted; each partition is counted, and its rows start where those before it end.

    Args:
        frame: the rows.
        order: columns that order them; rows that are equal in all of these get positions in any order.
        name: name of the new column.

    Returns:
        The frame, and its number of rows.
    """
    tagged = frame.orderBy(*order).withColumns(
        {_PARTITION: F.spark_partition_id(), _ID: F.monotonically_increasing_id()}
    )
    tagged = tagged.persist(StorageLevel.MEMORY_AND_DISK)  # another execution could cut the partitions elsewhere
    counts = {row[_PARTITION]: row["count"] for row in tagged.groupBy(_PARTITION).count().collect()}
    starts, total = {}, 0
    for partition in sorted(counts):
        starts[partition], total = total, total + counts[partition]
    if not total:
        return frame.withColumn(name, F.lit(None).cast("long")), 0
    pairs = [F.lit(value) for item in starts.items() for value in item]
    start = F.element_at(F.create_map(*pairs), F.col(_PARTITION)).cast("long")
    within = F.col(_ID).bitwiseAND((1 << _BITS) - 1)
    return tagged.withColumn(name, start + within).drop(_PARTITION, _ID), total
