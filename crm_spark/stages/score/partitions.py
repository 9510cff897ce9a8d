"""Partitions of the texts that are scored."""

from crm_spark.core.context import JobContext

MIN_SCORED, MIN_EXPLAINED = 256, 8
"""Fewer texts per partition take less time than loading the model does."""


def score_partitions(ctx: JobContext, num_texts: int, *, at_least: int = MIN_SCORED) -> int:
    """The configured number, or one partition for each core that gets at least so many texts."""
    num_cores = ctx.spark.sparkContext.defaultParallelism
    return ctx.settings.score.num_partitions or max(1, min(num_cores, num_texts // at_least))
