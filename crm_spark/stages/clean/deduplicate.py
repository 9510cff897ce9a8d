"""Deduplicate to one row per business key: latest `updated_at`, then source rank.

Without `updated_at` the last delivered record is kept: of the latest run, of the last file by name, on the last line. Records
with an update time tie by record hash, so that the result does not depend on the order of arrival.
"""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from crm_spark.stages.clean.lines import CONTRADICTED, LATER_LINE, block_of, differs
from crm_spark.stages.clean.survivorship import IS_ORIGIN, KEPT, Survivorship

EXACT_DUPLICATE, SUPERSEDED, SAME_KEY, REPEATED_KEY = "exact_duplicate", "superseded", "same_key", "repeated_key"
IN_SILVER = "_is_in_silver"


def _best_first() -> list[Column]:
    delivered = F.struct("_arrived_at", _in_natural_order("_file"), block_of("row_id"), "_position")
    return [
        F.col("updated_at").desc_nulls_last(),
        F.col("_rank").desc(),
        F.when(F.col("updated_at").isNull(), delivered).desc_nulls_last(),
        F.col("record_hash").desc(),
    ]


def _in_natural_order(name: str) -> Column:
    """Text whose numbers sort by value: `export_10` after `export_9`."""
    padded = F.regexp_replace(name, r"(\d+)", "000000000$1")
    return F.regexp_replace(padded, r"0*(\d{10,})(?!\d)", "$1")


def mark_duplicates(
    frame: DataFrame,
    existing: DataFrame,
    survivorship: Survivorship,
    *,
    key: tuple[str, ...],
    compared: Sequence[str] = (),
) -> DataFrame:
    """Grain: row of `frame`. Adds `_duplicate` (null for the row kept for its key, otherwise a reason code).

    If columns are merged, adds `_kept` (their values for kept rows) and the kept rows of `existing`, which may take values from
    new rows, with `_is_in_silver`. Quarantined rows are neither kept nor compared. `_contradicted`: comma-delimited columns that
    differ from the value kept for the key, among rows with the same `updated_at`.

    Args:
        frame: typed rows with updated_at, record_hash, row_id, batch_id, `_rank`, `_is_one_row_per_key`, `_is_later_line`,
            `_contradicted`, `_reasons`, `_arrived_at`, `_file`, `_position`.
        existing: `survivorship.contributions` of the silver rows of these keys from other batches, with `_rank`,
            `_arrived_at`, `_file`, `_position`; these are null if the row was delivered before all of `frame`.
        survivorship: columns to merge.
        key: business key.
        compared: columns that should agree between rows of one key.
    """
    if not survivorship.groups:
        order = ("updated_at", "_rank", "_arrived_at", "_file", "_position", "record_hash", "row_id")
        existing = existing.select(*dict.fromkeys([*key, "source", *order, IS_ORIGIN, *compared]))
    rows = frame.withColumns({IN_SILVER: F.lit(False), IS_ORIGIN: F.lit(False)}).unionByName(
        existing.withColumns({IN_SILVER: F.lit(True), LATER_LINE: F.lit(False)}), allowMissingColumns=True
    )
    # Excluded rows get a partition each: many of them share a null key, which would skew one partition.
    is_excluded = (F.size("_reasons") > 0) | F.col(LATER_LINE)
    window = Window.partitionBy(*key, F.when(is_excluded, F.col("row_id")))
    ordered = window.orderBy(*_best_first(), F.col("row_id").asc())
    whole = ordered.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    names = ("record_hash", "source", "updated_at", "batch_id", "_file")
    rows = rows.withColumns({f"_first_{name}": F.first(name).over(ordered) for name in names})
    first = {name: F.col(f"_first_{name}") for name in names}
    has_first_values = F.col("record_hash") == first["record_hash"]
    # Of equal records the one in silver stays, or a repeated full export would rewrite the table.
    preference = F.struct((~F.col(IN_SILVER)).alias("is_new"), "row_id")
    preferred = F.min(F.when(has_first_values & ~F.col(IS_ORIGIN), preference)).over(window)
    is_first = F.coalesce(preference == preferred, F.lit(False)) & ~F.col(IS_ORIGIN)
    is_same_age = F.col("updated_at").eqNullSafe(first["updated_at"])
    is_same_file = (F.col("batch_id") == first["batch_id"]) & (F.col("_file") == first["_file"])
    reason = (
        F.when(F.col("_is_one_row_per_key"), SAME_KEY)
        .when(has_first_values, EXACT_DUPLICATE)
        .when(is_same_age & is_same_file, REPEATED_KEY)
        .otherwise(SUPERSEDED)
    )
    duplicate = F.when(F.col(LATER_LINE), SAME_KEY).when(~is_first, reason)
    known = {name: F.first(name, ignorenulls=True).over(whole) for name in compared}
    different = [F.when(differs(F.col(n), known[n], rows.schema[n].dataType), F.lit(n)) for n in compared]
    # Older versions may differ legitimately; rows of the same age should not.
    is_other_source = ~F.col("source").eqNullSafe(first["source"])
    is_compared = ~is_first & (F.col("_is_one_row_per_key") | is_other_source) & is_same_age
    contradicted = F.when(is_compared, F.concat(F.lit(","), F.concat_ws(",", *different), F.lit(",")))
    added = {"_duplicate": duplicate, CONTRADICTED: F.coalesce(F.col(CONTRADICTED), contradicted)}
    helpers = [f"_first_{name}" for name in names]
    if not survivorship.groups:
        return rows.withColumns(added).where(~F.col(IN_SILVER)).drop(IN_SILVER, IS_ORIGIN, *helpers)
    chosen = survivorship.chosen(whole)
    marked = rows.withColumns(added | chosen)
    is_kept = F.col("_duplicate").isNull() & (F.size(F.coalesce("_reasons", F.array())) == 0) & ~F.col(IS_ORIGIN)
    marked = marked.withColumn(KEPT, F.when(is_kept, survivorship.kept()))
    return marked.where(~F.col(IN_SILVER) | is_kept).drop(IS_ORIGIN, *chosen, *helpers)
