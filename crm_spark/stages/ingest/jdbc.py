"""Reads a database table into bronze: whole, or what is newer than the watermark of the last time."""

import os
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.bronze_names import encoded
from crm_spark.contracts.ops import DELIVERY
from crm_spark.contracts.source import Jdbc, Source
from crm_spark.core.context import JobContext
from crm_spark.core.errors import ConfigError, InputError
from crm_spark.core.hashing import frame_digest, sha256_of


def read_table(ctx: JobContext, jdbc: Jdbc, *, newer_than: str | None) -> DataFrame:
    """Grain: row of the database table. All columns in their own types."""
    query = f"(SELECT * FROM {jdbc.table}) t"
    reader = ctx.spark.read.format("jdbc").option("url", jdbc.url).option("dbtable", query)
    if jdbc.user:
        reader = reader.option("user", jdbc.user)
    if jdbc.driver:
        reader = reader.option("driver", jdbc.driver)
    if jdbc.password_env:
        password = os.environ.get(jdbc.password_env)
        if password is None:
            raise ConfigError(f"jdbc.password_env: the environment has no {jdbc.password_env}.")
        reader = reader.option("password", password)
    frame = reader.load()
    if jdbc.watermark is None or newer_than is None:
        return frame
    by_name = {name.lower(): name for name in frame.columns}
    column = by_name.get(jdbc.watermark.lower())
    if column is None:
        raise ConfigError(f"jdbc.watermark: {jdbc.table} has no column {jdbc.watermark}; known: {frame.columns}.")
    return frame.where(F.col(column) > F.lit(newer_than).cast(frame.schema[column].dataType))


def ingest_jdbc(ctx: JobContext, source: Source, history: list[Row]) -> int:
    """Appends what the table has since the last extract; returns the rows.

    The extract's content is its identity: the same rows again, in any order, are the batch that is already there.
    """
    assert source.jdbc is not None
    past = [r for r in history if r["source"] == source.name and r["fate"] == "ingested"]
    newest = max(past, key=lambda row: row["arrived_at"], default=None)
    watermark = newest["watermark"] if newest is not None else None
    try:
        frame = read_table(ctx, source.jdbc, newer_than=watermark).cache()
        num_rows = frame.count()
    except (ConfigError, InputError):
        raise
    except Exception as error:
        raise InputError(
            f"{source.name}: {source.jdbc.table} cannot be read from the database ({type(error).__name__}). "
            "Check jdbc.url, user, the password's environment variable and the driver's JAR (spark.jars)."
        ) from None
    digest = sha256_of([source.name, frame_digest(frame)])
    if num_rows == 0 or any(row["file_sha256"] == digest for row in past):
        frame.unpersist()
        return 0
    batch_id = digest[:32]
    ctx.tables.append(bronze(source.name), _as_records(frame, source, digest, ctx), batch_id=batch_id, digest=digest)
    _record(ctx, source, digest, num_rows, _highest(frame, source.jdbc, watermark))
    frame.unpersist()
    return num_rows


def _as_records(frame: DataFrame, source: Source, digest: str, ctx: JobContext) -> DataFrame:
    assert source.jdbc is not None
    cells = [F.col(f"`{name}`").cast("string").alias(encoded(name, i)) for i, name in enumerate(frame.columns)]
    position = F.row_number().over(_by_all(frame)) - 1
    return frame.select(
        *cells,
        F.concat_ws(":", F.lit(digest[:16]), F.lit("0"), position).alias("_row_id"),
        F.lit(source.jdbc.table).alias("_file"),
        F.lit(digest).alias("_file_sha256"),
        F.lit(0).cast("long").alias("_block"),
        position.cast("long").alias("_position"),
        F.lit(digest[:32]).alias("_batch_id"),
        F.lit(ctx.started_at).cast("timestamp").alias("_arrived_at"),
        F.lit(ctx.run_id).alias("_run_id"),
        F.lit(None).cast("string").alias("_corrupt"),
    )


def _by_all(frame: DataFrame) -> Any:
    from pyspark.sql import Window

    # A database gives its rows in any order; a record's number must not depend on it.
    return Window.orderBy(*[F.col(f"`{name}`").cast("string") for name in frame.columns])


def _highest(frame: DataFrame, jdbc: Jdbc, before: str | None) -> str | None:
    if jdbc.watermark is None:
        return None
    row = frame.agg(F.max(jdbc.watermark).cast("string")).first()
    return row[0] if row is not None and row[0] is not None else before


def _record(ctx: JobContext, source: Source, digest: str, num_rows: int, watermark: str | None) -> None:
    assert source.jdbc is not None
    table = source.jdbc.table
    row = (
        source.name,
        table,
        digest,
        0,
        ctx.started_at,
        num_rows,
        digest[:32],
        "ingested",
        None,
        None,
        watermark,
        ctx.started_at,
    )
    frame = ctx.spark.createDataFrame([row], DELIVERY.schema)
    ctx.tables.merge(DELIVERY, frame, batch_id=ctx.batch_id(f"jdbc:{source.name}"), digest=digest)
