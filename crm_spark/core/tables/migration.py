"""Migration of a lake's tables to the current contracts: renamed tables, renamed columns, replaced values.

The layout version of a lake is a property of its tables. Each step is idempotent, so an
interrupted migration is resumed by running it again.
"""

from collections.abc import Callable, Mapping
from typing import Any

from pyspark.sql import DataFrame

from crm_spark.core.contract import TableContract
from crm_spark.core.tables import delta_log
from crm_spark.core.tables.commits import transaction_version
from crm_spark.core.tables.evolution import with_current_names
from crm_spark.core.tables.store import LAYOUT_PROPERTY, TableStore

Transform = Callable[[DataFrame], DataFrame]


def layout_of(store: TableStore, table: TableContract) -> int | None:
    """Layout version of a table; None if it does not exist, 1 if it was written before versions were recorded."""
    state = store.state(table)
    return int(state.properties.get(LAYOUT_PROPERTY, "1")) if state.version >= 0 else None


def set_layout(store: TableStore, table: TableContract, version: int) -> None:
    """Record the layout version of a table."""
    with store.committing():
        delta_log.set_properties(store.spark, store.path(table), {LAYOUT_PROPERTY: str(version)})


def migrate_table(store: TableStore, table: TableContract, version: int, transform: Transform | None = None) -> bool:
    """Give a table its current name and columns, and apply `transform` to its rows, once.

    Rows are rewritten only if a column is renamed or `transform` is given. Earlier versions stay readable.

    Args:
        store: the lake.
        table: the current contract.
        version: the layout version that the lake is migrated to.
        transform: replaces values; receives the columns under their current names.

    Returns:
        Whether the table was moved or rewritten.
    """
    has_moved = False
    if table.former_name:
        layer, _, name = table.former_name.partition(".")
        with store.committing():
            has_moved = delta_log.rename_directory(store.spark, f"{store.root}/{layer}/{name}", store.path(table))
    before = layout_of(store, table)
    if before is None or before >= version:
        return has_moved
    frame = store.spark.read.format("delta").load(store.path(table))
    renamed = with_current_names(frame, table)
    is_rewritten = renamed.columns != frame.columns or transform is not None
    if is_rewritten:
        _rewrite(store, table, renamed if transform is None else transform(renamed), version)
    set_layout(store, table, version)
    return has_moved or is_rewritten


def _rewrite(store: TableStore, table: TableContract, frame: DataFrame, version: int) -> None:
    path = store.path(table)
    with store.committing():
        # Remove the list of statistics columns, which may name former columns, and collect no statistics without it.
        delta_log.set_properties(store.spark, path, {"delta.dataSkippingNumIndexedCols": "0"})
        store.spark.sql(f"ALTER TABLE delta.`{path}` UNSET TBLPROPERTIES IF EXISTS ('delta.dataSkippingStatsColumns')")
        writer = frame.write.format("delta").mode("overwrite").option("overwriteSchema", "true")
        if table.partition_by:
            writer = writer.partitionBy(*table.partition_by)
        writer = writer.option("txnAppId", f"migration:{version}").option(
            "txnVersion", transaction_version(str(version))
        )
        writer.save(path)


def replaced(values: Mapping[str, Mapping[str, str]]) -> Transform:
    """A transform that replaces values: column -> old value -> new value."""

    def transform(frame: DataFrame) -> DataFrame:
        for column, changes in values.items():
            mapping: dict[Any, Any] = dict(changes)
            frame = frame.replace(mapping, subset=[column])
        return frame

    return transform
