"""Which GPU a worker reads on, and that several workers of a machine use it one after another."""

import fcntl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def gpu_of_task() -> int:
    """The GPU that Spark gave to this task; the first where it gives out none (`spark.task.resource.gpu.amount`)."""
    from pyspark import TaskContext

    task = TaskContext.get()
    resources = task.resources() if task is not None else {}
    return int(resources["gpu"].addresses[0]) if "gpu" in resources else 0


@contextmanager
def taking_turns(gpu: int | None) -> Iterator[None]:
    """Waits until no other process of this machine uses the GPU; null: a processor, which needs no turns."""
    if gpu is None:
        yield
        return
    with (Path(tempfile.gettempdir()) / f"crm_spark-gpu-{gpu}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the system lets it go when the process ends, however it ends
        yield
