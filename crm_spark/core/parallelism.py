"""Numbers of tasks as functions of the cluster's size."""

from pyspark.sql import SparkSession

_MIN_TASKS = 4
_ROWS_PER_WORKER = 1_000_000


def num_tasks(spark: SparkSession) -> int:
    """Partitions of work that keeps every core busy: two per core, and at least four.

    Results that depend on partitions, such as the start of KMeans, stay the same as long as the cluster does.
    """
    return max(_MIN_TASKS, 2 * spark.sparkContext.defaultParallelism)


def num_training_workers(spark: SparkSession, num_rows: int) -> int:
    """Workers that train one tabular model together: one per million rows, on at most half of the cores."""
    num_needed = -(-num_rows // _ROWS_PER_WORKER)
    return max(1, min(num_needed, spark.sparkContext.defaultParallelism // 2))
