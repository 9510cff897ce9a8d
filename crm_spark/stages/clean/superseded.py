"""Which accepted rows give up their place in silver: told before they do, so that every row is accounted for, for ever."""

from collections.abc import Mapping
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.ops import SUPERSEDED
from crm_spark.contracts.silver import ENTITIES
from crm_spark.core.context import JobContext


def declare_superseded(ctx: JobContext, accepted: Mapping[str, DataFrame], *, batch_id: str, digest: str) -> None:
    """Writes down the rows of silver whose key is about to be taken; `accepted`: entity -> the rows that take it.

    Before silver is merged: afterwards nobody could tell any more.
    """
    parts = [_displaced(ctx, entity, rows) for entity, rows in accepted.items() if ctx.tables.exists(ENTITIES[entity])]
    if parts:
        rows = reduce(DataFrame.unionByName, parts)
        ctx.tables.merge(SUPERSEDED, rows, batch_id=batch_id, digest=digest, insert_only=True)


def _displaced(ctx: JobContext, entity: str, accepted: DataFrame) -> DataFrame:
    key = list(ENTITIES[entity].grain)
    envelope = ("row_id", "source", "batch_id")
    taking = accepted.select(*key, *(F.col(name).alias(f"by_{name}") for name in envelope))
    standing = ctx.tables.read(ENTITIES[entity]).select(*key, *envelope)
    taken = standing.join(taking, key).where("row_id <> by_row_id")
    return taken.withColumn("entity", F.lit(entity)).select(*SUPERSEDED.column_names)
