"""Deduplicate to one row per business key: latest `updated_at`, then source rank, then record hash.

The result does not depend on the order of arrival.
"""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from crm_spark.stages.clean.lines import CONTRADICTED, LATER_LINE, differs
from crm_spark.stages.clean.survivorship import IS_ORIGIN, KEPT, Survivorship

EXACT_DUPLICATE, SUPERSEDED, SAME_KEY = "exact_duplicate", "superseded", "same_key"
IN_SILVER = "_is_in_silver"


def _best_first() -> list[Column]:
    return [F.col("updated_at").desc_nulls_last(), F.col("_rank").desc(), F.col("record_hash").desc()]


def mark_duplicates(
    frame: DataFrame,
    existing: DataFrame,
    survivorship: Survivorship,
    *,
    key: tuple[str, ...],
    compared: Sequence[str] = (),
) -> DataFrame:
    """Grain: row of `frame`. Adds `_duplicate` (null for the row kept for its key, otherwise a reason code).

    If columns are merged, adds `_kept` (their values for kept rows) and the rows of `existing` that stay and may take values
    from new rows, with `_is_in_silver`. Quarantined rows are neither kept nor compared. `_contradicted` lists, delimited by
    commas, the columns in which a row differs from a known value of a row of its age that is kept.

    Args:
        frame: typed rows with updated_at, record_hash, row_id, `_rank`, `_is_one_row_per_key`, `_is_later_line`,
            `_contradicted`, `_reasons`.
        existing: `survivorship.contributions` of the silver rows of these keys from other batches, with `_rank`.
        survivorship: columns to merge.
        key: business key.
        compared: columns that should agree between rows of one key.
    """
    if not survivorship.units:
        named = dict.fromkeys([*key, "source", "updated_at", "_rank", "record_hash", "row_id", IS_ORIGIN, *compared])
        existing = existing.select(*named)
    both = frame.withColumns({IN_SILVER: F.lit(False), IS_ORIGIN: F.lit(False)}).unionByName(
        existing.withColumns({IN_SILVER: F.lit(True), LATER_LINE: F.lit(False)}), allowMissingColumns=True
    )
    # Rows that do not compete get a partition each: many of them share a key, which would skew one partition.
    is_aside = (F.size("_reasons") > 0) | F.col(LATER_LINE)
    window = Window.partitionBy(*key, F.when(is_aside, F.col("row_id")))
    # Of equal records, keep the one that is already in silver.
    ordered = window.orderBy(*_best_first(), F.col(IN_SILVER).desc(), F.col("row_id").asc())
    whole = ordered.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    first = {name: F.first(name).over(ordered) for name in ("record_hash", "source", "updated_at")}
    is_first = F.row_number().over(ordered) == 1
    reason = (
        F.when(F.col("_is_one_row_per_key"), SAME_KEY)
        .when(F.col("record_hash") == first["record_hash"], EXACT_DUPLICATE)
        .otherwise(SUPERSEDED)
    )
    duplicate = F.when(F.col(LATER_LINE), SAME_KEY).when(~is_first, reason)
    known = {name: F.first(name, ignorenulls=True).over(whole) for name in compared}
    different = [F.when(differs(F.col(n), known[n], both.schema[n].dataType), F.lit(n)) for n in compared]
    # Older versions may differ legitimately; rows of the same age should not.
    is_other_source = ~F.col("source").eqNullSafe(first["source"])
    is_compared = (
        ~is_first
        & (F.col("_is_one_row_per_key") | is_other_source)
        & F.col("updated_at").eqNullSafe(first["updated_at"])
    )
    contradicted = F.when(is_compared, F.concat(F.lit(","), F.concat_ws(",", *different), F.lit(",")))
    added = {"_duplicate": duplicate, CONTRADICTED: F.coalesce(F.col(CONTRADICTED), contradicted)}
    if not survivorship.units:
        return both.withColumns(added).where(~F.col(IN_SILVER)).drop(IN_SILVER, IS_ORIGIN)
    chosen = survivorship.chosen(whole)
    marked = both.select("*", *chosen, *(column.alias(f"_new{name}") for name, column in added.items()))
    marked = marked.withColumns({name: F.col(f"_new{name}") for name in added})
    is_kept = F.col("_duplicate").isNull() & (F.size(F.coalesce("_reasons", F.array())) == 0) & ~F.col(IS_ORIGIN)
    marked = marked.withColumn(KEPT, F.when(is_kept, survivorship.kept()))
    stays = ~F.col(IN_SILVER) | (is_kept & ~F.col(IS_ORIGIN))
    return marked.where(stays).drop(IS_ORIGIN, *survivorship.helpers, *(f"_new{name}" for name in added))
