"""Slowly changing dimensions, type 2: all versions of a person or product with validity intervals.

Intervals are half-open without gaps; the newest version is current. Of two versions with the same start, the higher
source rank, then the greater hash wins, so the table does not depend on the order of arrival. Of versions without an update
time there is one, the one that silver keeps.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from crm_spark.contracts.silver import CONSENT_HISTORY, ENTITIES, HISTORY
from crm_spark.core.context import JobContext

UNKNOWN_START = "1900-01-01"
"""`valid_from` of versions without an update time."""


def update_histories(ctx: JobContext, entity: str, versions: DataFrame, *, batch_id: str, digest: str) -> None:
    """Merge versions into the entity's history table; does nothing for entities without a history.

    Args:
        ctx: job context.
        entity: entity of the versions.
        versions: the entity's columns, `_rank` and `_status`; includes versions that are not kept in silver.
        batch_id: id of the write.
        digest: digest of the input.
    """
    if entity not in HISTORY:
        return
    key, table = list(ENTITIES[entity].grain), HISTORY[entity]
    fresh = versions.withColumn("valid_from", F.coalesce("updated_at", F.lit(UNKNOWN_START).cast("timestamp")))
    keys = fresh.select(*key).distinct()
    known = ctx.tables.read(table).join(keys, key, "left_semi").withColumnRenamed("source_rank", "_rank")
    columns = known.drop("valid_to", "is_current").columns
    is_kept = (F.col("_status") == "accepted").alias("_is_kept")
    both = known.select(*columns, F.lit(False).alias("_is_kept")).unionByName(fresh.select(*columns, is_kept))
    updated = intervals(both, key).withColumnRenamed("_rank", "source_rank").select(*table.column_names)
    ctx.tables.sync(table, updated, keys=keys, batch_id=batch_id, digest=digest)
    if entity == "person":
        history = ctx.tables.read(table).join(keys, key, "left_semi")
        ctx.tables.sync(CONSENT_HISTORY, consents(history), keys=keys, batch_id=batch_id, digest=digest)


def intervals(versions: DataFrame, key: list[str]) -> DataFrame:
    """Grain: key, valid_from. One version per start time, with `valid_to` (null: current) and `is_current`.

    `versions`: with `_is_kept`, whether silver keeps the version from now on; decides between versions without an update time.
    """
    is_kept = (F.col("updated_at").isNull() & F.col("_is_kept")).desc()
    order = (F.desc("_rank"), is_kept, F.desc("record_hash"), F.asc("row_id"))
    best = Window.partitionBy(*key, "valid_from").orderBy(*order)
    starts = versions.withColumn("_position", F.row_number().over(best)).where("_position = 1")
    return _closed(starts.drop("_position", "_is_kept"), key)


def _closed(starts: DataFrame, key: list[str]) -> DataFrame:
    next_start: Column = F.lead("valid_from").over(Window.partitionBy(*key).orderBy("valid_from"))
    return starts.withColumn("valid_to", next_start).withColumn("is_current", F.col("valid_to").isNull())


def consents(history: DataFrame) -> DataFrame:
    """Grain: system, person_id, valid_from. Validity of a person's consent; consecutive equal values are merged."""
    key = ["system", "person_id"]
    before = F.lag("has_marketing_consent").over(Window.partitionBy(*key).orderBy("valid_from"))
    is_first = F.row_number().over(Window.partitionBy(*key).orderBy("valid_from")) == 1
    starts = history.withColumn("_is_change", is_first | ~F.col("has_marketing_consent").eqNullSafe(before))
    columns = [c for c in CONSENT_HISTORY.column_names if c not in ("valid_to", "is_current")]
    return _closed(starts.where("_is_change").select(*columns), key).select(*CONSENT_HISTORY.column_names)
