"""Combine the lines of a file that describe one record, such as an order header repeated on each line of the order."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType

from crm_spark.sources.config import Source

CONSENT = "has_marketing_consent"
LATER_LINE = "_is_later_line"
"""Whether a line was combined into an earlier one; its columns other than the key are null."""
CONTRADICTED = "_contradicted"
"""Comma-delimited columns whose value differs from the one that is kept for the key."""


def needs_whole_file(source: Source, entity: str) -> bool:
    """Whether a record of an entity is read from several lines of its file."""
    return source.feeds[entity].one_row_per_key or takes_currency_of_order(source, entity)


def takes_currency_of_order(source: Source, entity: str) -> bool:
    """Whether order lines without a currency take that of their order, whose header their file repeats."""
    order = source.feeds.get("order")
    return (
        entity == "order_line"
        and order is not None
        and order.one_row_per_key
        and "currency" in source.feeds[entity].columns
    )


def combined_lines(values: DataFrame, key: Sequence[str], columns: Sequence[str]) -> DataFrame:
    """Grain as `values`. The first line of a record takes the first known value of each column.

    The lines are in the order of the file; with `updated_at`, the latest come first. A refusal of consent on any line wins.
    Adds `_is_later_line` and `_contradicted`. Invalid lines are unchanged.

    Args:
        values: typed lines with row_id, batch_id, `_file`, `_position`, `_has_failed`, `_is_malformed`, `_is_incomplete`.
        key: columns of the business key.
        columns: columns to combine.
    """
    is_invalid = F.col("_has_failed") | F.col("_is_malformed") | F.col("_is_incomplete")
    # Invalid lines often share a null key: one partition for each.
    lines = Window.partitionBy("batch_id", "_file", *key, F.when(is_invalid, F.col("row_id")))
    latest = [F.desc_nulls_last("updated_at")] if "updated_at" in columns else []
    in_order = lines.orderBy(*latest, block_of("row_id"), "_position", "row_id")
    all_lines = in_order.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    first = {
        name: F.min(name).over(all_lines) if name == CONSENT else F.first(name, ignorenulls=True).over(all_lines)
        for name in columns
    }
    numbered = values.select(
        "*",
        *(column.alias(f"_first_{name}") for name, column in first.items()),
        (F.row_number().over(in_order) > 1).alias(LATER_LINE),
    )
    is_later = F.col(LATER_LINE)
    different = [
        F.when(differs(F.col(name), F.col(f"_first_{name}"), values.schema[name].dataType), F.lit(name))
        for name in columns
    ]
    contradicted = F.when(is_later, F.concat(F.lit(","), F.concat_ws(",", *different), F.lit(",")))
    added = {name: F.when(~is_later, F.col(f"_first_{name}")) for name in columns}
    return numbered.withColumns({CONTRADICTED: contradicted} | added).drop(*(f"_first_{name}" for name in columns))


def differs(one: Column, other: Column, kind: DataType) -> Column:
    """Whether two known values differ; text is compared without case."""
    if isinstance(kind, StringType):
        one, other = F.lower(one), F.lower(other)
    return one.isNotNull() & other.isNotNull() & (one != other)


def block_of(row_id: str) -> Column:
    """Byte offset in its file of the block from which a record was read."""
    return F.split_part(row_id, F.lit(":"), F.lit(2)).try_cast("long")
