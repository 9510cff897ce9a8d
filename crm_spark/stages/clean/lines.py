"""Combine the lines of a file that describe one record, such as an order header repeated on each line of the order."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StringType

from crm_spark.sources.config import Source

LATER_LINE = "_is_later_line"
"""Whether a line was combined into an earlier one; its columns other than the key are null."""
CONTRADICTED = "_contradicted"
"""Columns, delimited by commas, in which a row differs from the value that is kept for its key."""


def needs_whole_file(source: Source, entity: str) -> bool:
    """Whether a record of an entity is read from several lines of its file."""
    return source.feeds[entity].one_row_per_key or takes_currency_of_order(source, entity)


def takes_currency_of_order(source: Source, entity: str) -> bool:
    """Whether the lines of a file repeat the header of their order, which may hold the currency."""
    order = source.feeds.get("order")
    return (
        entity == "order_line"
        and order is not None
        and order.one_row_per_key
        and "currency" in source.feeds[entity].columns
    )


def combined_lines(values: DataFrame, key: Sequence[str], columns: Sequence[str]) -> DataFrame:
    """Grain as `values`. The first line of a record in its file takes the first known value of each column.

    Adds `_is_later_line` and `_contradicted`. Lines that could not be read stay as they are.

    Args:
        values: typed lines with row_id, batch_id, `_file`, `_position`, `_has_failed`, `_is_malformed`, `_is_incomplete`.
        key: columns of the business key.
        columns: columns to combine.
    """
    is_unread = F.col("_has_failed") | F.col("_is_malformed") | F.col("_is_incomplete")
    # Unread lines often share a null key: one partition for each.
    lines = Window.partitionBy("batch_id", "_file", *key, F.when(is_unread, F.col("row_id")))
    in_order = lines.orderBy(_block(), "_position", "row_id")
    whole = in_order.rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    first = {name: F.first(name, ignorenulls=True).over(whole).alias(f"_first_{name}") for name in columns}
    numbered = values.select("*", *first.values(), (F.row_number().over(in_order) > 1).alias(LATER_LINE))
    is_later = F.col(LATER_LINE)
    different = [
        F.when(differs(F.col(name), F.col(f"_first_{name}"), values.schema[name].dataType), F.lit(name))
        for name in columns
    ]
    contradicted = F.when(is_later, F.concat(F.lit(","), F.concat_ws(",", *different), F.lit(",")))
    added = {name: F.when(~is_later, F.col(f"_first_{name}")) for name in columns}
    return numbered.withColumns({CONTRADICTED: contradicted}).withColumns(added).drop(*(f"_first_{n}" for n in columns))


def with_currency_of_order(values: DataFrame) -> DataFrame:
    """Grain as `values`. Order lines without a currency take the first that another line of their order names."""
    order = Window.partitionBy("batch_id", "_file", "order_id", F.when(F.col("order_id").isNull(), F.col("row_id")))
    whole = order.orderBy(_block(), "_position").rowsBetween(Window.unboundedPreceding, Window.unboundedFollowing)
    return values.withColumn("currency", F.coalesce("currency", F.first("currency", ignorenulls=True).over(whole)))


def differs(one: Column, other: Column, kind: DataType) -> Column:
    """Whether two known values differ; text is compared without case."""
    if isinstance(kind, StringType):
        one, other = F.lower(one), F.lower(other)
    return one.isNotNull() & other.isNotNull() & (one != other)


def _block() -> Column:
    return F.split_part("row_id", F.lit(":"), F.lit(2)).try_cast("long")
