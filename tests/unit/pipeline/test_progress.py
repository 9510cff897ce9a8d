"""A long stage logs how far its Spark jobs are."""

import logging
import logging.handlers
import queue
import time
from types import SimpleNamespace

from crm_spark.core.log import get_logger
from crm_spark.pipeline.progress import describe, logged_progress


def test_tasks_of_all_running_stages_are_summed():
    tasks, seen_at = {7: (3, 10), 8: (5, 10)}, {7: 100.0, 8: 160.0}
    line = describe(tasks, seen_at, 220.0, seconds=500)
    assert line == "500 s; Spark tasks 40 % (8 of 20), about 3 min left"  # 12 tasks at 15 s


def test_line_without_tasks_states_that_there_are_none():
    assert describe({}, {}, 0.0, seconds=61) == "61 s; no Spark tasks at the moment"


def test_lines_are_logged_at_the_interval_until_the_block_ends(project_log):
    info = SimpleNamespace(numCompletedTasks=1, numTasks=4)
    tracker = SimpleNamespace(getActiveStageIds=lambda: [3], getStageInfo=lambda _: info)
    context = SimpleNamespace(statusTracker=lambda: tracker)
    records: queue.Queue[logging.LogRecord] = queue.Queue()
    handler = logging.handlers.QueueHandler(records)  # a library may have raised the level of pytest's own handler
    logger = get_logger()
    logger.addHandler(handler)
    try:
        with logged_progress(context, "clean", interval_seconds=0.05):
            lines = [records.get(timeout=20).getMessage() for _ in range(2)]
        while not records.empty():
            records.get()
        time.sleep(0.2)
    finally:
        logger.removeHandler(handler)
    assert all("clean      running" in line and "25 % (1 of 4)" in line for line in lines)
    assert records.empty()
