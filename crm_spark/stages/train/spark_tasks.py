"""Training ranks as tasks of a Spark barrier stage."""

import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch.distributed as dist
from pyspark.ml.torch.distributor import TorchDistributor

from crm_spark.core.context import JobContext
from crm_spark.core.errors import CrmError
from crm_spark.core.shipping import located_by_process, sees_files, shipped
from crm_spark.stages.train.processes import OutOfTime
from crm_spark.stages.train.worker import train_rank

_TAG = "crm_spark-train"
_READ = ("shards", "production", "teacher")
"""Folders of the specification that the ranks read."""


def train_in_tasks(ctx: JobContext, spec: dict[str, Any], *, num_ranks: int, max_seconds: int) -> None:
    """Train in a barrier stage of `num_ranks` tasks.

    The tasks use GPUs if the session assigns them (`spark.task.resource.gpu.amount`). Executors that do not see the lake's
    files get copies of what they read, and the driver writes what rank 0 returns; such a training has no checkpoint that
    outlives its tasks.

    Args:
        ctx: context of the stage.
        spec: training specification.
        num_ranks: over all executors.
        max_seconds: time limit.

    Raises:
        OutOfTime: the time limit was reached.
        CrmError: a rank failed.
    """
    spark = ctx.spark
    if has_copies := not sees_files(ctx):
        spec = {**spec, **{name: shipped(ctx, Path(spec[name])) for name in _READ if spec[name]}}
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
        distributor = TorchDistributor(num_processes=num_ranks, local_mode=False, use_gpu=use_gpu)
        written = distributor.run(_train_on_copies if has_copies else train_rank, spec, None, threads)
    except Exception as error:  # from Spark, its Python workers or torchrun
        if is_out_of_time.is_set():
            raise OutOfTime(f"train: stopped after {max_seconds} s (train.max_seconds)") from error
        raise CrmError(
            f"train: a rank failed: {error}. Run the stage again{'' if has_copies else ' to resume from the checkpoint'}."
        ) from error
    finally:
        timer.cancel()
        context.removeJobTag(_TAG)
    for name, content in (written or {}).items():
        target = Path(spec["out"]) / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _train_on_copies(spec: dict[str, Any], store: dist.Store | None, threads: int) -> dict[str, bytes]:
    """Train on this executor's copies; return the content of the files that this rank wrote, by name."""
    here = {name: str(located_by_process(spec[name])) for name in _READ if spec[name]}
    with TemporaryDirectory(dir=".") as out:
        train_rank({**spec, **here, "out": out}, store, threads)
        files = [path for path in sorted(Path(out).rglob("*")) if path.is_file()]
        names = {path: path.relative_to(out) for path in files}
        return {str(name): path.read_bytes() for path, name in names.items() if name.parts[0] != "checkpoints"}
