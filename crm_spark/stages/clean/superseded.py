"""Record which silver rows are replaced by newer records, so that row counts reconcile."""

from collections.abc import Mapping
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.ops import SUPERSEDED
from crm_spark.contracts.silver import ENTITIES
from crm_spark.core.context import JobContext


def record_superseded(ctx: JobContext, accepted: Mapping[str, DataFrame], *, batch_id: str, digest: str) -> None:
    """Record in ops.superseded the silver rows that the accepted rows will replace.

    Must run before the merge into silver, which overwrites the old row ids.

    Args:
        ctx: context of the run.
        accepted: entity -> accepted rows.
        batch_id: batch id of the write.
        digest: content digest of the write.
    """
    parts = [
        _replaced_rows(ctx, entity, rows) for entity, rows in accepted.items() if ctx.tables.exists(ENTITIES[entity])
    ]
    if parts:
        rows = reduce(DataFrame.unionByName, parts)
        ctx.tables.merge(SUPERSEDED, rows, batch_id=batch_id, digest=digest, insert_only=True)


def _replaced_rows(ctx: JobContext, entity: str, accepted: DataFrame) -> DataFrame:
    key = list(ENTITIES[entity].grain)
    envelope = ("row_id", "source", "batch_id")
    replacing = accepted.select(*key, *(F.col(name).alias(f"by_{name}") for name in envelope))
    current = ctx.tables.read(ENTITIES[entity]).select(*key, *envelope)
    replaced = current.join(replacing, key).where("row_id <> by_row_id")
    return replaced.withColumn("entity", F.lit(entity)).select(*SUPERSEDED.column_names)
