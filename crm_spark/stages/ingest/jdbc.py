"""Read a database table into bronze, in full or incrementally by watermark.

A delivery is recorded as planned in ops.delivery before its records are written: the next run completes an interrupted
one, and the watermark advances only after the records are in bronze.
"""

import math
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Any

from py4j.java_gateway import is_instance_of
from pyspark.sql import Column, DataFrame, DataFrameReader, Row
from pyspark.sql import functions as F
from pyspark.sql.types import (
    DataType,
    DatetimeType,
    IntegralType,
    NumericType,
    StringType,
    StructField,
    StructType,
    TimestampType,
)

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.bronze_columns import encoded
from crm_spark.contracts.ops import DELIVERY
from crm_spark.core.context import JobContext
from crm_spark.core.errors import ConfigError, InputError
from crm_spark.core.hashing import frame_digest, sha256_of
from crm_spark.core.ordering import with_position
from crm_spark.core.scratch import Keep, scratch
from crm_spark.sources.config import Jdbc, Source
from crm_spark.stages.ingest.reader import as_text

WATERMARK = "_watermark"
_HIGHEST = "_highest_watermark"
_POSTGRESQL = "jdbc:postgresql:"
_FETCH_ROWS = "5000"
_TICK = timedelta(microseconds=1)
_DOWNWARD = Context(prec=100, rounding=ROUND_FLOOR)
_PROBLEMS = {
    "08": "connection failed; check jdbc.url, jdbc.driver and the driver's JAR (spark.jars)",
    "28": "authentication failed; check jdbc.user and the environment variable named in jdbc.password_env",
    "3D": "database not found; check jdbc.url",
    "42": "table not found or permission denied; check jdbc.table and the user's privileges",
}
"""Messages by SQLSTATE class (defined by the SQL standard)."""


def ingest_jdbc(ctx: JobContext, source: Source, history: list[Row]) -> int:
    """Append new rows of a table to bronze; return the number of rows.

    With a watermark, a row is new if bronze has no record with the same content. Without one, the whole table is appended
    unless its content is unchanged since the last extract (in any order).

    Raises:
        ConfigError: the watermark, the overlap or the password variable is invalid.
        InputError: the database or the table cannot be read.
    """
    mine = [row.asDict() for row in history if row["source"] == source.name]
    finished = _finish(ctx, source, [row for row in mine if row["status"] == "planned"])
    past = [row for row in mine if row["status"] == "ingested"] + finished
    newest = max(past, key=lambda row: row["arrived_at"], default=None)
    num_rows = sum(row["num_rows"] for row in finished)
    # Materialise once, so that counting, numbering and writing use the same rows while the database changes.
    with scratch(ctx, f"ingest_{source.name}") as keep:
        extract = _extract(ctx, source, keep, newer_than=newest["watermark"] if newest else None)
        delivery, records = _delivery(ctx, source, keep, extract, newest, number=len(past))
        if delivery is None:
            return num_rows
        _record(ctx, delivery, "planned")
        table, batch_id = bronze(source.name), delivery["batch_id"]
        ctx.tables.append(
            table,
            _as_records(ctx, records, delivery),
            batch_id=batch_id,
            digest=delivery["file_sha256"],
            is_unique=True,
        )
        _record(ctx, delivery, "ingested")
    return num_rows + delivery["num_rows"]


def read_table(ctx: JobContext, jdbc: Jdbc, *, newer_than: str | None) -> DataFrame:
    """Grain: row of the table. Returns its columns as text with bronze names, and `_watermark`.

    The maximum of `_watermark` is the extract's watermark: it is the row's value, or for PostgreSQL the maximum computed
    by the database. Rows with a null watermark are read every time.
    """
    table = _reader(ctx, jdbc).option("dbtable", jdbc.table).load()
    names = [*(encoded(name, i) for i, name in enumerate(table.columns)), WATERMARK]
    column = _watermark_column(jdbc, table.columns)
    kind = table.schema[column].dataType if column else StringType()
    least = None if column is None or newer_than is None else least_read(newer_than, jdbc.overlap, kind)
    if jdbc.url.startswith(_POSTGRESQL):
        query = _postgresql_query(jdbc.table, table.schema, column, least)
        return _reader(ctx, jdbc).option("dbtable", f"({query}) extract").load().toDF(*names)
    value = F.col(f"`{column}`") if column else F.lit(None).cast("string")
    if least is not None:
        table = table.where(value.isNull() | (value >= F.lit(least).cast(kind)))
    return table.select(*(as_text(table, name) for name in table.columns), value).toDF(*names)


def least_read(watermark: str, overlap: float, kind: DataType) -> str:
    """Lower bound of the next extract: watermark minus overlap (seconds for a timestamp, units for a number).

    Raises:
        ConfigError: an overlap is set and the column is neither a timestamp nor a number.
    """
    if not overlap:
        return watermark
    if isinstance(kind, NumericType):
        least = _DOWNWARD.subtract(Decimal(watermark), Decimal(str(overlap)))
        return str(math.floor(least)) if isinstance(kind, IntegralType) else f"{least:f}"
    if isinstance(kind, DatetimeType):
        try:
            return str(datetime.fromisoformat(watermark) - timedelta(seconds=overlap))
        except (ValueError, OverflowError):
            raise ConfigError(f"jdbc.overlap: {overlap} seconds before the watermark is out of range.") from None
    raise ConfigError(
        f"jdbc.overlap: unsupported watermark type {kind.simpleString()}; expected a timestamp or a number."
    )


def _reader(ctx: JobContext, jdbc: Jdbc) -> DataFrameReader:
    # Without a fetch size, the PostgreSQL driver loads the whole result into memory.
    reader = ctx.spark.read.format("jdbc").option("url", jdbc.url).option("fetchsize", _FETCH_ROWS)
    # A timestamp without time zone is a local time of the source; only one with time zone is an instant.
    reader = reader.option("preferTimestampNTZ", "true")
    driver = jdbc.driver
    if jdbc.url.startswith(_POSTGRESQL):
        # Java does not find the driver by URL if its JAR was added by Spark.
        driver = driver or "org.postgresql.Driver"
        # The text form of values depends on these settings, which a role or database may override.
        reader = reader.option("sessionInitStatement", "SET TIME ZONE 'UTC'; SET bytea_output = 'hex'")
    if driver:
        reader = reader.option("driver", driver)
    if jdbc.user:
        reader = reader.option("user", jdbc.user)
    if jdbc.password_env:
        password = os.environ.get(jdbc.password_env)
        if password is None:
            raise ConfigError(f"jdbc.password_env: environment variable {jdbc.password_env} is not set.")
        reader = reader.option("password", password)
    return reader


def _watermark_column(jdbc: Jdbc, columns: Sequence[str]) -> str | None:
    if jdbc.watermark is None:
        return None
    column = next((name for name in columns if name.lower() == jdbc.watermark.lower()), None)
    if column is None:
        raise ConfigError(f"jdbc.watermark: {jdbc.table} has no column {jdbc.watermark}; expected one of {columns}.")
    return column


def _postgresql_query(table: str, schema: StructType, watermark: str | None, least: str | None) -> str:
    """Query that casts every column to text in the database, because Spark lacks types such as unscaled numeric.

    The database also filters by the watermark, using the column's type and order, and returns the maximum of the snapshot.
    """
    cells = [f"{_as_postgresql_text(field)} AS {_quoted(field.name)}" for field in schema]
    if watermark is None:
        return f"SELECT {', '.join(cells)}, CAST(NULL AS text) AS {_HIGHEST} FROM {table}"
    column = _quoted(watermark)
    # Infinity cannot serve as a watermark; rows with it are read every time.
    is_infinite = f"CAST({column} AS text) IN ('infinity', 'Infinity', 'NaN')"
    highest = f"(SELECT CAST(max({column}) AS text) FROM {table} WHERE NOT {is_infinite})"
    query = f"SELECT {', '.join(cells)}, {highest} AS {_HIGHEST} FROM {table}"
    if least is None:
        return query
    literal = least.replace("'", "''")
    return f"{query} WHERE {column} >= '{literal}' OR {column} IS NULL"


def _as_postgresql_text(field: StructField) -> str:
    """Text of a column; a timestamp with time zone ends with `Z`, since the session's time zone is UTC."""
    text = f"CAST({_quoted(field.name)} AS text)"
    return f"regexp_replace({text}, '[+]00$', 'Z')" if isinstance(field.dataType, TimestampType) else text


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _extract(ctx: JobContext, source: Source, keep: Keep, *, newer_than: str | None) -> DataFrame:
    assert source.jdbc is not None
    try:
        return keep(read_table(ctx, source.jdbc, newer_than=newer_than), "extract")
    except Exception as error:
        problem = _problem(ctx, error)
        if problem is None:
            raise
        raise InputError(f"{source.name}: cannot read table {source.jdbc.table}: {problem}.") from None


def _delivery(
    ctx: JobContext, source: Source, keep: Keep, extract: DataFrame, newest: dict[str, Any] | None, *, number: int
) -> tuple[dict[str, Any] | None, DataFrame]:
    """Row for ops.delivery (None if there are no new rows) and the new rows."""
    assert source.jdbc is not None
    rows = extract.drop(WATERMARK)
    if source.jdbc.watermark:
        rows = keep(_not_in_bronze(ctx, source, rows), "new")
    num_rows, digest = rows.count(), sha256_of([source.name, frame_digest(rows)])
    if num_rows == 0 or (newest and newest["file_sha256"] == digest):
        return None, rows
    highest = extract.agg(F.max(WATERMARK).cast("string")).first()
    return {
        "source": source.name,
        "file": source.jdbc.table,
        "file_sha256": digest,
        "num_bytes": 0,
        "modified_at": ctx.started_at,
        "num_rows": num_rows,
        # The number distinguishes deliveries with equal content at different times.
        "batch_id": sha256_of([digest, number])[:32],
        "reason": None,
        "position": None,
        "hint": None,
        "num_replaced": None,
        "columns": rows.columns,
        "watermark": (highest and highest[0]) or (newest and newest["watermark"]),
        # Keep arrival times monotonic even if the clock was set back.
        "arrived_at": max(ctx.started_at, newest["arrived_at"] + _TICK) if newest else ctx.started_at,
    }, rows


def _problem(ctx: JobContext, error: Exception) -> str | None:
    """Message for a database or driver error; None for other errors."""
    cause: Any = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    gateway = ctx.spark.sparkContext._gateway
    while cause is not None:
        if is_instance_of(gateway, cause, "java.sql.SQLException"):
            state = cause.getSQLState() or ""
            return _PROBLEMS.get(state[:2], f"SQLSTATE {state}; check jdbc.url and jdbc.table")
        if is_instance_of(gateway, cause, "java.lang.ClassNotFoundException"):
            return "driver class not found; check jdbc.driver and its JAR (spark.jars)"
        cause = cause.getCause()
    return None


def _not_in_bronze(ctx: JobContext, source: Source, extract: DataFrame) -> DataFrame:
    """Rows of the extract whose content is not in bronze. Grain: row of the extract."""
    records = ctx.tables.read(bronze(source.name))
    rows = extract.withColumn("_content", _content(extract.columns))
    known = records.select(_content([name for name in records.columns if not name.startswith("_")]).alias("_content"))
    # The extract is small: a semi join reduces bronze to the shared content without shuffling all of it.
    known = known.join(rows.select("_content"), "_content", "left_semi")
    return rows.join(known, "_content", "left_anti").drop("_content")


def _content(columns: Sequence[str]) -> Column:
    """Digest of a row's cells by column name; null cells are ignored."""
    cells = [F.col(f"`{name}`").alias(name.lower()) for name in sorted(columns, key=str.lower)]
    return F.sha2(F.to_json(F.struct(*cells), {"ignoreNullFields": "true"}), 256) if cells else F.lit("")


def _finish(ctx: JobContext, source: Source, planned: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mark planned deliveries as ingested if an interrupted run already wrote them to bronze; return them."""
    table = bronze(source.name)
    written = [row for row in planned if ctx.tables.committed(table, row["batch_id"], row["file_sha256"])]
    for delivery in written:
        _record(ctx, delivery, "ingested")
    return written


def _record(ctx: JobContext, delivery: dict[str, Any], status: str) -> None:
    row = {**delivery, "status": status}
    frame = ctx.spark.createDataFrame([tuple(row[name] for name in DELIVERY.column_names)], DELIVERY.schema)
    batch_id = delivery["batch_id"]
    ctx.tables.merge(DELIVERY, frame, batch_id=ctx.batch_id(f"jdbc:{status}:{batch_id}"), digest=batch_id)


def _as_records(ctx: JobContext, rows: DataFrame, delivery: dict[str, Any]) -> DataFrame:
    # Databases return rows in arbitrary order; record numbers must be deterministic.
    columns = [F.col(f"`{name}`") for name in rows.columns]
    ordered, _ = with_position(rows, columns, "_position")
    position = F.col("_position")
    return ordered.select(
        *columns,
        F.concat_ws(":", F.lit(delivery["batch_id"][:16]), F.lit("0"), position).alias("_row_id"),
        F.lit(delivery["file"]).alias("_file"),
        F.lit(delivery["file_sha256"]).alias("_file_sha256"),
        F.lit(0).cast("long").alias("_block"),
        position,
        F.lit(delivery["batch_id"]).alias("_batch_id"),
        F.lit(ctx.started_at).cast("timestamp").alias("_arrived_at"),
        F.lit(ctx.run_id).alias("_run_id"),
        F.lit(None).cast("string").alias("_corrupt"),
    )
