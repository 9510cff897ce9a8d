"""Ranks as tasks of Spark: each executor that has a core, or a GPU, to spare trains."""

import threading
from typing import Any

from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import SparkSession

from crm_spark.core.errors import CrmError
from crm_spark.stages.train.processes import OutOfTime
from crm_spark.stages.train.worker import train_rank

_TAG = "crm_spark-train"


def train_in_tasks(spark: SparkSession, spec: dict[str, Any], *, num_ranks: int, max_seconds: int) -> None:
    """Trains as the specification says, in a barrier stage of `num_ranks` tasks.

    The tasks use GPUs where the session gives each task some (`spark.task.resource.gpu.amount`).

    Args:
        spark: whose executors have the package and mount the lake.
        spec: what to train.
        num_ranks: over all executors.
        max_seconds: the stage is ended after that.

    Raises:
        OutOfTime: it was not finished in time.
        CrmError: a rank failed.
    """
    threads = int(spark.conf.get("spark.task.cpus", "1") or 1)
    use_gpu = spark.conf.get("spark.task.resource.gpu.amount", "0") != "0"
    context, is_over = spark.sparkContext, threading.Event()

    def end() -> None:
        is_over.set()
        context.cancelJobsWithTag(_TAG)

    context.addJobTag(_TAG)
    timer = threading.Timer(max_seconds, end)
    timer.start()
    try:
        TorchDistributor(num_processes=num_ranks, local_mode=False, use_gpu=use_gpu).run(
            train_rank, spec, None, threads
        )
    except Exception as error:  # of Spark, of its Python workers, of torchrun
        if is_over.is_set():
            raise OutOfTime(f"train: not finished after {max_seconds} s (train.max_seconds); ended") from error
        raise CrmError(f"train: a rank failed: {error}. Run the stage again to resume from the checkpoint.") from error
    finally:
        timer.cancel()
        context.removeJobTag(_TAG)
