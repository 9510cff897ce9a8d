"""Training ranks as tasks of a Spark barrier stage."""

import threading
from typing import Any

from pyspark.ml.torch.distributor import TorchDistributor
from pyspark.sql import SparkSession

from crm_spark.core.errors import CrmError
from crm_spark.stages.train.processes import OutOfTime
from crm_spark.stages.train.worker import train_rank

_TAG = "crm_spark-train"


def train_in_tasks(spark: SparkSession, spec: dict[str, Any], *, num_ranks: int, max_seconds: int) -> None:
    """Train in a barrier stage of `num_ranks` tasks.

    The tasks use GPUs if the session assigns them (`spark.task.resource.gpu.amount`).

    Args:
        spark: session whose executors have the package and mount the lake.
        spec: training specification.
        num_ranks: over all executors.
        max_seconds: time limit.

    Raises:
        OutOfTime: the time limit was reached.
        CrmError: a rank failed.
    """
    threads = int(spark.conf.get("spark.task.cpus", "1") or 1)
    use_gpu = spark.conf.get("spark.task.resource.gpu.amount", "0") != "0"
    context, is_out_of_time = spark.sparkContext, threading.Event()

    def cancel() -> None:
        is_out_of_time.set()
        context.cancelJobsWithTag(_TAG)

    context.addJobTag(_TAG)
    timer = threading.Timer(max_seconds, cancel)
    timer.start()
    try:
        TorchDistributor(num_processes=num_ranks, local_mode=False, use_gpu=use_gpu).run(
            train_rank, spec, None, threads
        )
    except Exception as error:  # from Spark, its Python workers or torchrun
        if is_out_of_time.is_set():
            raise OutOfTime(f"train: stopped after {max_seconds} s (train.max_seconds)") from error
        raise CrmError(f"train: a rank failed: {error}. Run the stage again to resume from the checkpoint.") from error
    finally:
        timer.cancel()
        context.removeJobTag(_TAG)
