"""Records of one entity among bronze records: conditions on cells, elements of lists, and paths into JSON."""

from collections.abc import Collection, Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.bronze_columns import encoded
from crm_spark.sources.mappings import Condition, Feed

FILE = "_file"
"""Name by which a mapping reads the path of the file."""


def stored_column(name: str, columns: Collection[str]) -> str | None:
    """The bronze column that contains a source column: its own, or that of the object into which a path leads."""
    column, _ = _place(name, columns)
    return column


def records_of(bronze: DataFrame, feed: Feed, incomplete_files: Sequence[str] = ()) -> DataFrame:
    """Grain: bronze record, or element of the feed's list. Adds the fields that the feed reads by path.

    An element has its position, from 0, at the end of `_row_id`. A record that could not be read has one row, and so has each
    record of `incomplete_files` (digests), which lack a column.
    """
    rows = bronze if feed.each is None else _elements(bronze, feed.each, incomplete_files)
    paths = {name: stored_column(name, rows.columns) for name in feed.source_columns if name != FILE}
    added = {
        encoded(name, 0): field_of(name, rows.columns)
        for name, column in paths.items()
        if column is not None and encoded(name, 0) != column
    }
    return rows.withColumns(added) if added else rows


def field_of(name: str, columns: Collection[str]) -> Column:
    """The cell of a source column, or the field into which a path leads; null without such a column."""
    column, path = _place(name, columns)
    return F.lit(None).cast("string") if column is None else _field(F.col(f"`{column}`"), path)


def left_out(feed: Feed, columns: Collection[str]) -> Column | None:
    """Whether a record is none of the entity by the feed's conditions; None without conditions."""
    if not feed.only and not feed.leave_out:
        return None
    fails = [~_holds(condition, columns) for condition in feed.only]
    hits = [_holds(condition, columns) for condition in feed.leave_out]
    return F.col("_corrupt").isNull() & reduce(Column.__or__, [*fails, *hits])


def record_id(row_id: str) -> Column:
    """Id of the bronze record of a row: without the position of an element."""
    return F.substring_index(row_id, ":", 3)


def _holds(condition: Condition, columns: Collection[str]) -> Column:
    cell = F.coalesce(F.trim(field_of(condition.column, columns)), F.lit(""))
    return cell.rlike(condition.matches) if condition.matches is not None else cell == F.lit(condition.equals)


def _elements(bronze: DataFrame, each: str, incomplete_files: Sequence[str]) -> DataFrame:
    """A row per element of a list; the list's column has the element."""
    is_whole = F.col("_corrupt").isNotNull() | F.col("_file_sha256").isin(*incomplete_files)
    if stored_column(each, bronze.columns) is None:  # no record has a list
        return bronze.where(is_whole)
    text = F.trim(field_of(each, bronze.columns))
    listed = F.from_json(text, "array<string>", {"mode": "PERMISSIVE"})
    # What is no list is one element: an object, or a text that cannot be read and fails as a record without its fields.
    is_list = F.startswith(text, F.lit("["))
    elements = F.when(is_list, F.coalesce(listed, F.array(text))).when(text != "", F.array(text))
    elements = F.when(is_whole, F.array(F.lit(None).cast("string"))).otherwise(elements)
    kept = [F.col(f"`{name}`") for name in bronze.columns]
    rows = bronze.select(*kept, F.posexplode(elements).alias("_number", "_element"))
    row_id = F.concat_ws(":", "_row_id", "_number")
    return rows.withColumns({"_row_id": row_id, encoded(each, 0): F.col("_element")}).drop("_number", "_element")


def _place(name: str, columns: Collection[str]) -> tuple[str | None, list[str]]:
    """The bronze column that contains a source column, and the path within it."""
    if name == FILE:
        return FILE, []
    parts = name.split(".")
    for size in range(len(parts), 0, -1):
        column = encoded(".".join(parts[:size]), 0)
        if column in columns:
            return column, parts[size:]
    return None, []


def _field(cell: Column, path: list[str]) -> Column:
    if not path:
        return cell
    steps = "".join(f"[{step}]" if step.isdigit() else f"['{step}']" for step in path)
    return F.get_json_object(cell, f"${steps}")
