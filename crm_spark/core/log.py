"""One logger for a run: a line per stage with rows and seconds, a progress bar where a person looks on."""

import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

LOGGER_NAME = "crm_spark"


def get_logger() -> logging.Logger:
    """The suite's logger; writes to standard error so that standard output stays a job's own result."""
    logger = logging.getLogger(LOGGER_NAME)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s  %(message)s", "%H:%M:%S"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    return logger


@contextmanager
def timed(label: str) -> Iterator[None]:
    """Logs the seconds that the block took."""
    started = time.monotonic()
    yield
    get_logger().info("%s  %.1f s", label, time.monotonic() - started)


class ProgressBar:
    """A line that grows on a terminal and is silent in a log file, for work that has no bar of its own."""

    def __init__(self, label: str, total: int):
        self.label, self.total, self.shown = label, max(total, 1), -1
        self.on_terminal = sys.stderr.isatty()

    def update(self, done: int, note: str = "") -> None:
        """Shows `done` of `total` units."""
        if not self.on_terminal or done == self.shown:
            return
        self.shown = done
        filled = 30 * done // self.total
        end = "\n" if done >= self.total else ""
        line = f"\r{self.label} [{'#' * filled}{'.' * (30 - filled)}] {done}/{self.total} {note:<20}"
        sys.stderr.write(line + end)
        sys.stderr.flush()
