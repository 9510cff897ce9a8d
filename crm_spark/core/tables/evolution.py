"""Schema evolution: a table written by an older contract is brought up to date with the columns of the contract."""

from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from crm_spark.core.contract import TableContract


def with_current_names(frame: DataFrame, table: TableContract) -> DataFrame:
    """`frame` with the contract's names for columns that still have their former name."""
    present = set(frame.columns)
    renamed = {c.former_name: c.name for c in table.columns if c.former_name in present and c.name not in present}
    return frame.withColumnsRenamed({old: new for old, new in renamed.items() if old}) if renamed else frame


def with_contract_columns(frame: DataFrame, table: TableContract) -> DataFrame:
    """`frame` with every column of the contract, in its order: columns added since the rows were written are null.

    Columns that the contract no longer declares are dropped, unless the table is open.
    """
    frame = with_current_names(frame, table)
    types = {column.name: column.type for column in table.columns}
    missing = set(table.column_names) - set(frame.columns)
    others = sorted(set(frame.columns) - set(table.column_names)) if table.is_open else []
    columns = [
        F.lit(None).cast(types[name]).alias(name) if name in missing else F.col(name) for name in table.column_names
    ]
    return frame.select(*columns, *(F.col(f"`{name}`") for name in others))


def add_missing_columns(spark: SparkSession, path: str, table: TableContract, *, present: Sequence[str]) -> list[str]:
    """Add the contract's new columns to the Delta table at `path`; existing rows read null.

    A new column is nullable in Delta even if the contract requires it, because older rows have no value; the contract is
    checked on every write.

    Args:
        spark: the session.
        path: directory or URI of the table.
        table: the contract.
        present: the table's columns.

    Returns:
        The added columns.
    """
    missing = [column for column in table.columns if column.name not in present]
    if missing:
        added = ", ".join(f"`{column.name}` {column.type.simpleString()}" for column in missing)
        spark.sql(f"ALTER TABLE delta.`{path}` ADD COLUMNS ({added})")
    return [column.name for column in missing]


def relax_columns(spark: SparkSession, path: str, table: TableContract, *, required: Sequence[str]) -> list[str]:
    """Allow null in columns of the Delta table at `path` that the contract no longer requires.

    Args:
        spark: the session.
        path: directory or URI of the table.
        table: the contract.
        required: the table's columns that may not be null.

    Returns:
        The columns that may be null now.
    """
    optional = {field.name for field in table.schema.fields if field.nullable}
    relaxed = [name for name in required if name in optional]
    for name in relaxed:
        spark.sql(f"ALTER TABLE delta.`{path}` ALTER COLUMN `{name}` DROP NOT NULL")
    return relaxed
