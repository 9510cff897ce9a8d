"""Deduplicate to one row per business key: latest `updated_at`, then source rank, then record hash.

The result does not depend on the order of arrival.
"""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

EXACT_DUPLICATE, SUPERSEDED, SAME_KEY = "exact_duplicate", "superseded", "same_key"


def _best_first() -> list[Column]:
    return [
        F.col("updated_at").desc_nulls_last(),
        F.col("_rank").desc(),
        F.col("record_hash").desc(),
        F.col("row_id").asc(),
    ]


def mark_duplicates(
    frame: DataFrame, existing: DataFrame, *, key: tuple[str, ...], compared: Sequence[str] = ()
) -> DataFrame:
    """Grain as `frame`. Adds `_duplicate` (null for the row kept for its key, otherwise a reason code) and `_contradicted`.

    Quarantined rows are neither kept nor compared. `_contradicted` lists, delimited by commas, the columns in which a
    duplicate of a one_row_per_key feed differs from the row that is kept.

    Args:
        frame: typed rows with updated_at, record_hash, row_id, `_rank`, `_is_one_row_per_key`, `_reasons`.
        existing: silver rows of these keys from other batches: key, updated_at, record_hash, row_id, `_rank`.
        key: business key.
        compared: columns that should agree between rows of one key.
    """
    columns = list(dict.fromkeys([*key, "updated_at", "_rank", "record_hash", "row_id", *compared]))
    in_silver = existing.select(*columns).withColumn("_is_in_silver", F.lit(True))
    both = frame.withColumn("_is_in_silver", F.lit(False)).unionByName(in_silver, allowMissingColumns=True)
    # Quarantined rows get a partition each: many of them share a null key, which would skew one partition.
    window = Window.partitionBy(*key, F.when(F.size("_reasons") > 0, F.col("row_id")))
    # Of equal records, keep the one that is already in silver.
    ordered = window.orderBy(*_best_first()[:3], F.col("_is_in_silver").desc(), F.col("row_id").asc())
    first = F.first("record_hash").over(ordered)
    is_first = F.row_number().over(ordered) == 1
    reason = (
        F.when(F.col("_is_one_row_per_key"), SAME_KEY)
        .when(F.col("record_hash") == first, EXACT_DUPLICATE)
        .otherwise(SUPERSEDED)
    )
    differs = [F.when(~F.col(n).eqNullSafe(F.first(n).over(ordered)), F.lit(n)) for n in compared]
    # Older versions may differ legitimately; rows of the same age should not.
    has_same_age = (
        ~is_first & F.col("_is_one_row_per_key") & F.col("updated_at").eqNullSafe(F.first("updated_at").over(ordered))
    )
    contradicted = F.when(has_same_age, F.concat(F.lit(","), F.concat_ws(",", *differs), F.lit(",")))
    marked = both.withColumns({"_duplicate": F.when(~is_first, reason), "_contradicted": contradicted})
    return marked.where(~F.col("_is_in_silver")).drop("_is_in_silver")
