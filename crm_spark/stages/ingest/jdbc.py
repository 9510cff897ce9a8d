"""Reads a database table into bronze: whole, or what is newer than the watermark of the last time.

A delivery is planned in ops.delivery before its records are written: a run that dies is finished by the next one, and
until bronze holds the records the watermark stays where it was.
"""

import math
import os
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import ROUND_FLOOR, Context, Decimal
from typing import Any

from py4j.java_gateway import is_instance_of
from pyspark.sql import Column, DataFrame, DataFrameReader, Row, Window
from pyspark.sql import functions as F
from pyspark.sql.types import DataType, DatetimeType, IntegralType, NumericType, StringType

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.bronze_columns import encoded
from crm_spark.contracts.ops import DELIVERY
from crm_spark.core.context import JobContext
from crm_spark.core.errors import ConfigError, InputError
from crm_spark.core.hashing import frame_digest, sha256_of
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
    "08": "it cannot be reached; check jdbc.url, jdbc.driver and the driver's JAR (spark.jars)",
    "28": "it refuses the user or the password; check jdbc.user and the variable that jdbc.password_env names",
    "3D": "there is no such database; check jdbc.url",
    "42": "there is no such table, or the user may not read it; check jdbc.table and the user's rights",
}
"""What the classes of SQLSTATE say, which the SQL standard gives every database."""


def ingest_jdbc(ctx: JobContext, source: Source, history: list[Row]) -> int:
    """Appends what the table has since the last extract; returns the rows.

    With a watermark, a row is new when bronze holds none of its content. Without one the table is appended whole, unless
    it is, in any order, what it was the last time.

    Raises:
        ConfigError: the watermark, the overlap or the password's variable cannot be used.
        InputError: the database or the table cannot be read.
    """
    mine = [row.asDict() for row in history if row["source"] == source.name]
    finished = _finish(ctx, source, [row for row in mine if row["status"] == "planned"])
    past = [row for row in mine if row["status"] == "ingested"] + finished
    newest = max(past, key=lambda row: row["arrived_at"], default=None)
    num_rows = sum(row["num_rows"] for row in finished)
    # Set down once: what is counted, numbered and written are the same rows, whatever goes on in the database.
    with scratch(ctx, f"ingest_{source.name}") as keep:
        extract = _extract(ctx, source, keep, newer_than=newest["watermark"] if newest else None)
        delivery, records = _delivery(ctx, source, keep, extract, newest, number=len(past))
        if delivery is None:
            return num_rows
        _record(ctx, delivery, "planned")
        table, batch_id = bronze(source.name), delivery["batch_id"]
        ctx.tables.append(table, _as_records(ctx, records, delivery), batch_id=batch_id, digest=delivery["file_sha256"])
        _record(ctx, delivery, "ingested")
    return num_rows + delivery["num_rows"]


def read_table(ctx: JobContext, jdbc: Jdbc, *, newer_than: str | None) -> DataFrame:
    """Grain: row of the table. Its columns as text, as bronze spells them, and `_watermark`, the greatest in the extract.

    `_watermark` is each row's own value, or the same in all rows where the database says itself what it is. Rows that
    have none are read every time.
    """
    table = _reader(ctx, jdbc).option("dbtable", jdbc.table).load()
    names = [*(encoded(name, i) for i, name in enumerate(table.columns)), WATERMARK]
    column = _watermark_column(jdbc, table.columns)
    kind = table.schema[column].dataType if column else StringType()
    least = None if column is None or newer_than is None else least_read(newer_than, jdbc.overlap, kind)
    if jdbc.url.startswith(_POSTGRESQL):
        query = _postgresql_query(jdbc.table, table.columns, column, least)
        return _reader(ctx, jdbc).option("dbtable", f"({query}) extract").load().toDF(*names)
    value = F.col(f"`{column}`") if column else F.lit(None).cast("string")
    if least is not None:
        table = table.where(value.isNull() | (value >= F.lit(least).cast(kind)))
    return table.select(*(as_text(table, name) for name in table.columns), value).toDF(*names)


def least_read(watermark: str, overlap: float, kind: DataType) -> str:
    """The least value that is read again: the watermark less the overlap, in seconds of a time or units of a number.

    Raises:
        ConfigError: there is an overlap, and the column is neither a time nor a number.
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
            raise ConfigError(f"jdbc.overlap: {overlap} seconds less than the watermark is no time we know.") from None
    raise ConfigError(f"jdbc.overlap: {overlap} of a column of type {kind.simpleString()}; wanted a time or a number.")


def _reader(ctx: JobContext, jdbc: Jdbc) -> DataFrameReader:
    # Without a fetch size PostgreSQL's driver holds the whole result in memory.
    reader = ctx.spark.read.format("jdbc").option("url", jdbc.url).option("fetchsize", _FETCH_ROWS)
    driver = jdbc.driver
    if jdbc.url.startswith(_POSTGRESQL):
        # Java finds no driver by the URL alone in a JAR that Spark was given when it started.
        driver = driver or "org.postgresql.Driver"
        # What a role or a database may set otherwise, and the text of a value depends on.
        reader = reader.option("sessionInitStatement", "SET TIME ZONE 'UTC'; SET bytea_output = 'hex'")
    if driver:
        reader = reader.option("driver", driver)
    if jdbc.user:
        reader = reader.option("user", jdbc.user)
    if jdbc.password_env:
        password = os.environ.get(jdbc.password_env)
        if password is None:
            raise ConfigError(f"jdbc.password_env: the environment has no {jdbc.password_env}.")
        reader = reader.option("password", password)
    return reader


def _watermark_column(jdbc: Jdbc, columns: Sequence[str]) -> str | None:
    if jdbc.watermark is None:
        return None
    column = next((name for name in columns if name.lower() == jdbc.watermark.lower()), None)
    if column is None:
        raise ConfigError(f"jdbc.watermark: {jdbc.table} has no column {jdbc.watermark}; known: {columns}.")
    return column


def _postgresql_query(table: str, columns: Sequence[str], watermark: str | None, least: str | None) -> str:
    """The database writes every value as text itself: Spark has no type for a numeric without a scale, and others.

    It also compares the watermark, in the column's own type and order, and says the highest as of the same snapshot.
    """
    cells = [f"CAST({_quoted(name)} AS text) AS {_quoted(name)}" for name in columns]
    if watermark is None:
        return f"SELECT {', '.join(cells)}, CAST(NULL AS text) AS {_HIGHEST} FROM {table}"
    column = _quoted(watermark)
    # Above infinity there is nothing: rows that carry it are read every time, and are no mark for others.
    endless = f"CAST({column} AS text) IN ('infinity', 'Infinity', 'NaN')"
    highest = f"(SELECT CAST(max({column}) AS text) FROM {table} WHERE NOT {endless})"
    query = f"SELECT {', '.join(cells)}, {highest} AS {_HIGHEST} FROM {table}"
    if least is None:
        return query
    literal = least.replace("'", "''")
    return f"{query} WHERE {column} >= '{literal}' OR {column} IS NULL"


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
        raise InputError(f"{source.name}: {source.jdbc.table} cannot be read from the database: {problem}.") from None


def _delivery(
    ctx: JobContext, source: Source, keep: Keep, extract: DataFrame, newest: dict[str, Any] | None, *, number: int
) -> tuple[dict[str, Any] | None, DataFrame]:
    """What ops.delivery says of the rows that are new, and the rows; None where there are none."""
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
        # A table that is again what it once was is another delivery: the number tells them apart.
        "batch_id": sha256_of([digest, number])[:32],
        "reason": None,
        "columns": rows.columns,
        "watermark": (highest and highest[0]) or (newest and newest["watermark"]),
        # A clock that was set back must not make this delivery older than the one before it.
        "arrived_at": max(ctx.started_at, newest["arrived_at"] + _TICK) if newest else ctx.started_at,
    }, rows


def _problem(ctx: JobContext, error: Exception) -> str | None:
    """What the user can do about a failure; None where it does not come from the database or its driver."""
    cause: Any = getattr(error, "java_exception", None) or getattr(error, "_origin", None)
    gateway = ctx.spark.sparkContext._gateway
    while cause is not None:
        if is_instance_of(gateway, cause, "java.sql.SQLException"):
            state = cause.getSQLState() or ""
            return _PROBLEMS.get(state[:2], f"it answers with SQLSTATE {state}; check jdbc.url and jdbc.table")
        if is_instance_of(gateway, cause, "java.lang.ClassNotFoundException"):
            return "there is no such driver; check jdbc.driver and its JAR (spark.jars)"
        cause = cause.getCause()
    return None


def _not_in_bronze(ctx: JobContext, source: Source, extract: DataFrame) -> DataFrame:
    """Grain: row of the extract whose content no bronze record of the source has."""
    records = ctx.tables.read(bronze(source.name))
    rows = extract.withColumn("_content", _content(extract.columns))
    held = records.select(_content([name for name in records.columns if not name.startswith("_")]).alias("_content"))
    # The extract is small and bronze is not: what they share is found without moving bronze, and only that is compared.
    held = held.join(rows.select("_content"), "_content", "left_semi")
    return rows.join(held, "_content", "left_anti").drop("_content")


def _content(columns: Sequence[str]) -> Column:
    """Digest of a row's cells by column name; a column that is empty counts as one that is not there."""
    cells = [F.col(f"`{name}`").alias(name.lower()) for name in sorted(columns, key=str.lower)]
    return F.sha2(F.to_json(F.struct(*cells), {"ignoreNullFields": "true"}), 256) if cells else F.lit("")


def _finish(ctx: JobContext, source: Source, planned: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The deliveries that an earlier run wrote to bronze and died before it said so."""
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
    # A database gives its rows in any order; a record's number must not depend on it.
    position = F.row_number().over(Window.orderBy(*[F.col(f"`{name}`") for name in rows.columns])) - 1
    return rows.select(
        *[F.col(f"`{name}`") for name in rows.columns],
        F.concat_ws(":", F.lit(delivery["batch_id"][:16]), F.lit("0"), position).alias("_row_id"),
        F.lit(delivery["file"]).alias("_file"),
        F.lit(delivery["file_sha256"]).alias("_file_sha256"),
        F.lit(0).cast("long").alias("_block"),
        position.cast("long").alias("_position"),
        F.lit(delivery["batch_id"]).alias("_batch_id"),
        F.lit(ctx.started_at).cast("timestamp").alias("_arrived_at"),
        F.lit(ctx.run_id).alias("_run_id"),
        F.lit(None).cast("string").alias("_corrupt"),
    )
