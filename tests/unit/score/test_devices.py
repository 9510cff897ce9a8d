"""Workers of a machine use a GPU one at a time; other GPUs and CPUs are not locked."""

import itertools
import multiprocessing
import time

import pytest

from crm_spark.stages.score import devices


def use(folder, gpu, seconds, out):
    devices.tempfile.tempdir = str(folder)
    with devices.exclusive_gpu(gpu):
        started = time.monotonic()
        time.sleep(seconds)
        out.put((started, time.monotonic()))


@pytest.mark.parametrize(("gpus", "is_exclusive"), [((0, 0, 0), True), ((0, 1, 2), False), ((None, None, None), False)])
def test_gpu_is_used_by_one_process_at_a_time(tmp_path, gpus, is_exclusive):
    context = multiprocessing.get_context("fork")
    out = context.Queue()
    processes = [context.Process(target=use, args=(tmp_path, gpu, 0.4, out)) for gpu in gpus]
    for process in processes:
        process.start()
    spans = sorted(out.get(timeout=30) for _ in processes)
    for process in processes:
        process.join()
    assert all(end <= start for (_, end), (start, _) in itertools.pairwise(spans)) == is_exclusive


def test_killed_process_releases_the_gpu(tmp_path):
    context = multiprocessing.get_context("fork")
    out = context.Queue()
    holder = context.Process(target=use, args=(tmp_path, 0, 60, out))
    holder.start()
    while not (tmp_path / "crm_spark-gpu-0.lock").exists():
        time.sleep(0.01)
    time.sleep(0.1)
    holder.kill()
    holder.join()
    use(tmp_path, 0, 0, out)
    assert out.get(timeout=5)


def test_outside_of_a_task_the_first_gpu_is_used():
    assert devices.gpu_of_task() == 0
