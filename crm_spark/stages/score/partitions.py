"""Partitions of the texts that are scored."""

from crm_spark.core.context import JobContext


def score_partitions(ctx: JobContext) -> int:
    """The configured number, or one partition per core."""
    return ctx.settings.score.num_partitions or ctx.spark.sparkContext.defaultParallelism
