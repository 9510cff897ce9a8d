"""Progress in a log file: a line a minute, with percent and time left."""

import io
import sys

from crm_spark.core.log import ProgressBar


def lines_of(monkeypatch, updates, *, total):
    """What a log file gets of updates (second, units done)."""
    output, now = io.StringIO(), [0.0]
    monkeypatch.setattr(sys, "stderr", output)
    bar = ProgressBar("train", total, clock=lambda: now[0])
    for second, done in updates:
        now[0] = float(second)
        bar.update(done, "0.5 bits")
    return output.getvalue().splitlines()


def test_progress_is_logged_every_minute_with_percent_and_time_left(monkeypatch):
    updates = [(0, 0), (30, 10), (60, 20), (90, 30), (120, 40)]
    assert lines_of(monkeypatch, updates, total=100) == [
        "progress: train 20 % (20 of 100), about 4 min left  0.5 bits",  # 80 units at 3 s
        "progress: train 40 % (40 of 100), about 3 min left  0.5 bits",
    ]


def test_time_left_of_resumed_work_is_estimated_from_this_run(monkeypatch):
    assert lines_of(monkeypatch, [(0, 500), (60, 600)], total=1000) == [
        "progress: train 60 % (600 of 1,000), about 4 min left  0.5 bits"  # 400 units at 0.6 s
    ]


def test_short_work_logs_nothing(monkeypatch):
    assert lines_of(monkeypatch, [(0, 0), (20, 50), (59, 100)], total=100) == []
