"""Slowly changing dimensions, type 2: every version of a person or product, and for how long it held.

Intervals are half-open and follow each other without a gap; the newest is current. Of two versions of one instant the
one of the higher source rank, then the greater hash stands, so the table is the same in whatever order, and in however
many deliveries, the versions arrive.
"""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from crm_spark.contracts.silver import CONSENT_HISTORY, ENTITIES, HISTORY
from crm_spark.core.context import JobContext

SINCE_EVER = "1900-01-01"
"""Where a version begins of which the source does not say when it came about."""


def update_histories(ctx: JobContext, entity: str, versions: DataFrame, *, batch_id: str, digest: str) -> None:
    """Works versions into the entity's history; an entity that has none is passed over.

    Args:
        ctx: where the tables are.
        entity: of the versions.
        versions: the entity's columns and `_rank`; also those that silver has no room for.
        batch_id: names the write.
        digest: of what the versions come from.
    """
    if entity not in HISTORY:
        return
    key, table = list(ENTITIES[entity].grain), HISTORY[entity]
    fresh = versions.withColumn("valid_from", F.coalesce("updated_at", F.lit(SINCE_EVER).cast("timestamp")))
    keys = fresh.select(*key).distinct()
    known = ctx.tables.read(table).join(keys, key, "left_semi").withColumnRenamed("source_rank", "_rank")
    every = known.drop("valid_to", "is_current").unionByName(
        fresh.select(*known.drop("valid_to", "is_current").columns)
    )
    made = intervals(every, key).withColumnRenamed("_rank", "source_rank").select(*table.column_names)
    ctx.tables.sync(table, made, keys=keys, batch_id=batch_id, digest=digest)
    if entity == "person":
        whole = ctx.tables.read(table).join(keys, key, "left_semi")
        ctx.tables.sync(CONSENT_HISTORY, consents(whole), keys=keys, batch_id=batch_id, digest=digest)


def intervals(versions: DataFrame, key: list[str]) -> DataFrame:
    """Grain: key, valid_from. One version for each instant, with `valid_to` (null: to this day) and `is_current`."""
    best = Window.partitionBy(*key, "valid_from").orderBy(F.desc("_rank"), F.desc("record_hash"), F.asc("row_id"))
    standing = versions.withColumn("_place", F.row_number().over(best)).where("_place = 1").drop("_place")
    return _closed(standing, key)


def _closed(starts: DataFrame, key: list[str]) -> DataFrame:
    following: Column = F.lead("valid_from").over(Window.partitionBy(*key).orderBy("valid_from"))
    return starts.withColumn("valid_to", following).withColumn("is_current", F.col("valid_to").isNull())


def consents(history: DataFrame) -> DataFrame:
    """Grain: system, person_id, valid_from. How long a person's consent stood as it did; versions that change nothing of
    it run together.
    """
    key = ["system", "person_id"]
    before = F.lag("has_marketing_consent").over(Window.partitionBy(*key).orderBy("valid_from"))
    is_first = F.row_number().over(Window.partitionBy(*key).orderBy("valid_from")) == 1
    starts = history.withColumn("_is_change", is_first | ~F.col("has_marketing_consent").eqNullSafe(before))
    columns = [c for c in CONSENT_HISTORY.column_names if c not in ("valid_to", "is_current")]
    return _closed(starts.where("_is_change").select(*columns), key).select(*CONSENT_HISTORY.column_names)
