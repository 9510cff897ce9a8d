"""GPU assignment of a worker, and a lock so that workers on a machine share a GPU one at a time."""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def gpu_of_task() -> int:
    """Return the GPU that Spark assigned to this task (`spark.task.resource.gpu.amount`), else GPU 0."""
    from pyspark import TaskContext

    task = TaskContext.get()
    resources = task.resources() if task is not None else {}
    return int(resources["gpu"].addresses[0]) if "gpu" in resources else 0


@contextmanager
def exclusive_gpu(gpu: int | None) -> Iterator[None]:
    """Hold the GPU lock of this machine; without a GPU (None) there is no lock."""
    if gpu is None:
        yield
        return
    with (Path(tempfile.gettempdir()) / f"crm_spark-gpu-{gpu}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the kernel releases the lock when the process ends
        yield
