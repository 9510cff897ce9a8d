"""The logger of a run, and the progress of long work."""

import json
import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Literal

LOGGER_NAME = "crm_spark"
_TEXT = ("%(asctime)s  %(message)s", "%H:%M:%S")


def get_logger() -> logging.Logger:
    """The project's logger; it writes to standard error, because standard output holds a job's result."""
    logger = logging.getLogger(LOGGER_NAME)
    if not logger.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter(*_TEXT))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    return logger


LogFormat = Literal["text", "json"]
FIELDS = ("stage", "status", "num_rows", "seconds")
"""Attributes of a log record that the JSON format adds to the message."""


class JsonFormatter(logging.Formatter):
    """One JSON object per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Return at (UTC), level, message, the fields of the record, and the stack trace of an exception."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        content = {"at": at, "level": record.levelname.lower(), "message": record.getMessage()}
        content |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info:
            content["exception"] = self.formatException(record.exc_info)
        return json.dumps(content, ensure_ascii=False)


def set_log_format(log_format: LogFormat) -> None:
    """Use this format from now on."""
    formatter = JsonFormatter() if log_format == "json" else logging.Formatter(*_TEXT)
    get_logger().handlers[0].setFormatter(formatter)  # the one of `get_logger`


def number_of(number: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


@contextmanager
def timed(label: str) -> Iterator[None]:
    """Log the seconds that the block took."""
    started = time.monotonic()
    yield
    get_logger().info("%s  %.1f s", label, time.monotonic() - started)


PROGRESS_MARKER = "progress: "
"""Starts the progress lines in the log of a child process; its parent repeats them in its own log."""
LOG_INTERVAL_SECONDS = 60.0


class ProgressBar:
    """Progress of long work: a bar on a terminal, else a line a minute with percent and time left.

    Args:
        label: name of the work.
        total: number of units.
        clock: seconds; a parameter for tests.
    """

    def __init__(self, label: str, total: int, *, clock: Callable[[], float] = time.monotonic):
        self.label, self.total, self.shown = label, max(total, 1), -1
        self.is_terminal = sys.stderr.isatty()
        self._clock = clock
        self._started_at = self._logged_at = clock()
        self._started_with: int | None = None

    def update(self, done: int, note: str = "") -> None:
        """Show that `done` of `total` units are finished."""
        if self._started_with is None:
            self._started_with = min(done, self.total)  # resumed work starts above zero
        if done == self.shown:
            return
        self.shown = done
        if self.is_terminal:
            filled = 30 * done // self.total
            end = "\n" if done >= self.total else ""
            line = f"\r{self.label} [{'#' * filled}{'.' * (30 - filled)}] {done}/{self.total} {note:<20}"
            sys.stderr.write(line + end)
        elif self._clock() - self._logged_at >= LOG_INTERVAL_SECONDS:
            self._logged_at = self._clock()
            sys.stderr.write(f"{PROGRESS_MARKER}{self.line(done)}  {note}\n")
        sys.stderr.flush()

    def line(self, done: int) -> str:
        """Percent, units and estimated time left."""
        gained = done - (self._started_with or 0)
        seconds_left = (self._clock() - self._started_at) / gained * (self.total - done) if gained > 0 else None
        return f"{self.label} {percent_and_time(done, self.total, seconds_left)}"


def percent_and_time(done: int, total: int, seconds_left: float | None) -> str:
    """`34 % (340 of 1,000), about 4 min left`."""
    estimate = "" if seconds_left is None else f", about {max(1, round(seconds_left / 60))} min left"
    return f"{100 * done // total} % ({done:,} of {total:,}){estimate}"
