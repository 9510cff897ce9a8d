"""A line a minute about a stage that runs for long: how far its Spark jobs are."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from pyspark import SparkContext

from crm_spark.core.log import LOG_INTERVAL_SECONDS, get_logger, percent_and_time


@contextmanager
def logged_progress(
    spark_context: SparkContext, stage: str, *, interval_seconds: float = LOG_INTERVAL_SECONDS
) -> Iterator[None]:
    """Log the tasks of the running Spark stages once per interval, until the block ends."""
    ended = threading.Event()
    thread = threading.Thread(target=_watch, args=(spark_context, stage, interval_seconds, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(timeout=1)


def _watch(spark_context: SparkContext, stage: str, interval_seconds: float, ended: threading.Event) -> None:
    started, num_lines, seen_at = time.monotonic(), 0, dict[int, float]()
    while not ended.wait(min(interval_seconds, 1.0)):
        now = time.monotonic()
        tasks = running_tasks(spark_context)
        seen_at = {number: seen_at.get(number, now) for number in tasks}
        if now - started < interval_seconds * (1 + num_lines):
            continue
        num_lines += 1
        get_logger().info("%-10s running   %s", stage, describe(tasks, seen_at, now, seconds=now - started))


def running_tasks(spark_context: SparkContext) -> dict[int, tuple[int, int]]:
    """Running Spark stage -> finished tasks, all tasks."""
    tracker = spark_context.statusTracker()
    infos = [(number, tracker.getStageInfo(number)) for number in tracker.getActiveStageIds()]
    return {number: (info.numCompletedTasks, info.numTasks) for number, info in infos if info is not None}


def describe(tasks: dict[int, tuple[int, int]], seen_at: dict[int, float], now: float, *, seconds: float) -> str:
    """`120 s; Spark tasks 40 % (8 of 20), about 3 min left`: the estimate is of the Spark stages that run now."""
    done, total = (sum(counts) for counts in zip(*tasks.values(), strict=True)) if tasks else (0, 0)
    if not total:
        return f"{seconds:.0f} s; no Spark tasks at the moment"
    elapsed = now - min(seen_at.values())
    seconds_left = elapsed / done * (total - done) if done else None
    return f"{seconds:.0f} s; Spark tasks {percent_and_time(done, total, seconds_left)}"
