"""Table contracts: grain, columns, sensitivity. Checked on every write."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, StructField, StructType

from crm_spark.core.errors import ContractError

CONTRACT_VIOLATION = "CONTRACT_VIOLATION"
"""Marks the error of a write that met a null in a required column."""
_NO_MINIMUM = ("array", "map", "struct", "boolean", "binary")


class Sensitivity(StrEnum):
    """Who may see a column. Personal columns are excluded from Delta's column statistics and from exports."""

    PUBLIC = "public"
    INTERNAL = "internal"
    PERSONAL = "personal"


@dataclass(frozen=True)
class ColumnContract:
    """One column: type, nullability, sensitivity and description."""

    name: str
    type: DataType
    doc: str
    is_required: bool = False
    sensitivity: Sensitivity = Sensitivity.INTERNAL
    former_name: str | None = None
    """Name of the column in lakes of an older layout; see `crm_spark.migrations`."""
    is_added: bool = False
    """Whether the column was added to a table that lakes already have. It is part of a record's digest only where it has a
    value, so that records without one keep their digest."""


def required(
    name: str,
    type: DataType,
    doc: str,
    sensitivity: Sensitivity = Sensitivity.INTERNAL,
    *,
    former_name: str | None = None,
) -> ColumnContract:
    """A column without nulls."""
    return ColumnContract(name, type, doc, True, sensitivity, former_name)


def optional(
    name: str,
    type: DataType,
    doc: str,
    sensitivity: Sensitivity = Sensitivity.INTERNAL,
    *,
    former_name: str | None = None,
) -> ColumnContract:
    """A column that may be null."""
    return ColumnContract(name, type, doc, False, sensitivity, former_name)


def added(name: str, type: DataType, doc: str, sensitivity: Sensitivity = Sensitivity.INTERNAL) -> ColumnContract:
    """A column that may be null, added to a table that lakes already have."""
    return ColumnContract(name, type, doc, sensitivity=sensitivity, is_added=True)


@dataclass(frozen=True)
class TableContract:
    """A table `layer.entity`: grain, columns, partitioning.

    Attributes:
        name: `layer.entity`, singular; its path is `<lake>/<layer>/<entity>`.
        grain: the key columns: unique and without nulls.
        columns: in order.
        doc: what one row is.
        partition_by: partition columns.
        is_open: undeclared columns are kept (bronze: every column of the source as text).
        former_name: name of the table in lakes of an older layout; see `crm_spark.migrations`.
    """

    name: str
    grain: tuple[str, ...]
    columns: tuple[ColumnContract, ...]
    doc: str
    partition_by: tuple[str, ...] = ()
    is_open: bool = False
    former_name: str | None = None
    _names: tuple[str, ...] = field(init=False, default=())

    def __post_init__(self) -> None:
        names = tuple(column.name for column in self.columns)
        unknown = [name for name in (*self.grain, *self.partition_by) if name not in names]
        if unknown:
            raise ContractError(f"{self.name}: grain or partition columns {unknown} are not declared.")
        object.__setattr__(self, "_names", names)

    @property
    def layer(self) -> str:
        """`silver` of `silver.order`."""
        return self.name.split(".")[0]

    @property
    def entity(self) -> str:
        """`order` of `silver.order`."""
        return self.name.split(".", 1)[1]

    @property
    def column_names(self) -> tuple[str, ...]:
        """The declared columns, in order."""
        return self._names

    @property
    def schema(self) -> StructType:
        """The declared columns as a Spark schema; grain columns are never null."""
        return StructType([StructField(c.name, c.type, not self._is_required(c)) for c in self.columns])

    @property
    def statistics_columns(self) -> tuple[str, ...]:
        """Columns with minima and maxima in Delta's log: useful for skipping files, and not personal.

        Statistics cost as much as writing the column, and those of a digest let no file be skipped.
        """
        selective = (*self.grain, "batch_id", "_batch_id")
        useful = [c for c in self.columns if c.name in selective or c.type.typeName() in ("date", "timestamp")]
        plain = [c for c in useful if c.sensitivity is not Sensitivity.PERSONAL and c.name not in self.partition_by]
        return tuple(c.name for c in plain if c.type.typeName() not in _NO_MINIMUM)

    def _is_required(self, column: ColumnContract) -> bool:
        return column.is_required or column.name in self.grain

    def conformed(self, frame: DataFrame) -> DataFrame:
        """`frame` with the declared columns in the declared order, followed by other columns of an open table.

        Raises:
            ContractError: a column is missing, unexpected or of another type.
        """
        have = {f.name: f.dataType for f in frame.schema.fields}
        missing = [n for n in self._names if n not in have]
        extra = [] if self.is_open else sorted(set(have) - set(self._names))
        if missing or extra:
            raise ContractError(
                f"{self.name}: missing {missing}, unexpected {extra}. Change crm_spark/contracts first, then the transform."
            )
        wrong = [
            f"{c.name}: expected {c.type.simpleString()}, got {have[c.name].simpleString()}"
            for c in self.columns
            if have[c.name].simpleString() != c.type.simpleString()
        ]
        if wrong:
            raise ContractError(f"{self.name}: {'; '.join(wrong)}.")
        return frame.select(*self._names, *sorted(set(have) - set(self._names)))

    def requiring_values(self, frame: DataFrame) -> DataFrame:
        """`frame`, which fails as soon as a required column yields a null: the check costs no pass of its own."""
        nullable = {field.name for field in frame.schema.fields if field.nullable}
        checked = {
            c.name: F.coalesce(F.col(c.name), F.raise_error(F.lit(f"{CONTRACT_VIOLATION} {self.name}")).cast(c.type))
            for c in self.columns
            if self._is_required(c) and c.name in nullable
        }
        return frame.withColumns(checked) if checked else frame

    def check_rows(self, frame: DataFrame) -> int:
        """Check required columns for nulls and the grain for uniqueness.

        Returns:
            The number of rows.

        Raises:
            ContractError: names the columns and the number of rows; never a value.
        """
        required_names = [c.name for c in self.columns if self._is_required(c)]
        nulls = [F.count(F.when(F.col(n).isNull(), 1)).alias(n) for n in required_names]
        row = frame.agg(
            F.count(F.lit(1)).alias("_rows"), F.count_distinct(F.struct(*self.grain)).alias("_keys"), *nulls
        ).first()
        assert row is not None
        missing = {n: row[n] for n in required_names if row[n]}
        if missing:
            raise ContractError(f"{self.name}: null values in required columns, rows by column: {missing}.")
        num_rows: int = row["_rows"]
        if row["_keys"] != num_rows:
            raise ContractError(
                f"{self.name}: {num_rows} rows have only {row['_keys']} distinct keys of grain {list(self.grain)}. "
                "Deduplicate before writing."
            )
        return num_rows


def data_dictionary(contracts: Iterable[TableContract]) -> list[dict[str, object]]:
    """The contracts as rows: table, column, type, is_required, sensitivity, doc."""
    return [
        {
            "table": table.name,
            "column": column.name,
            "type": column.type.simpleString(),
            "is_required": column.is_required or column.name in table.grain,
            "sensitivity": str(column.sensitivity),
            "doc": column.doc,
        }
        for table in contracts
        for column in table.columns
    ]
