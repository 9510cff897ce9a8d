"""What a stage receives: session, tables, settings, logical date, run id, seed. Stages read neither clock nor environment."""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from crm_spark.core.tables import TableStore

if TYPE_CHECKING:  # the settings are made of the stages' sections, and stages import this module
    from crm_spark.settings import Settings

T = TypeVar("T")
R = TypeVar("R")


DONE, SKIPPED, NO_NEW_INPUT, UP_TO_DATE = "done", "skipped", "no_new_input", "up_to_date"


@dataclass(frozen=True)
class StageResult:
    """Result of a stage.

    Attributes:
        num_rows: rows written.
        status: `done`; `skipped`, the company has no input for the stage; `no_new_input`, the stage ran and found nothing
            new; `up_to_date`, the stage did not run.
        note: summary for the log and the ledger.
        blocked: message about data that an expectation blocked while the rest was processed; the job ends with exit code 3.
        last_work_at: if status is `no_new_input`, the start of the run that did the work.
    """

    num_rows: int = 0
    status: str = DONE
    note: str = ""
    blocked: str = ""
    last_work_at: datetime | None = None


def skipped(note: str) -> StageResult:
    """The result of a stage for which the company has no input, or too little; the note says what is missing."""
    return StageResult(status=SKIPPED, note=note)


def lacking(needed: str, num_found: int) -> str:
    """What is missing, in one sentence: `needs at least 50 customers with orders; there are 12`."""
    return f"needs {needed}; there {'is' if num_found == 1 else 'are'} {f'{num_found:,}' if num_found else 'none'}"


def skipped_without_persons() -> StageResult:
    """The result of a stage that needs customers, for a company whose sources contain no persons."""
    return skipped("no source contains persons")


@dataclass(frozen=True)
class JobContext:
    """Everything a stage may depend on.

    Attributes:
        spark: the session.
        tables: the lake.
        settings: the whole configuration; a stage reads its own section and `company`.
        as_of: logical date: everything up to the end of this day is known, later events are not.
        run_id: id of the run.
        fingerprint: digest of the stage's inputs, configuration and code.
        started_at: start of the run (UTC).
        seed: seed of every random draw.
        files_root: local or mounted directory of shards, models and the report.
        log: the logger.
        code: digest of the stage's code.
        is_dry_run: plan and check, write nothing.
        is_forced: compute and write again what is up to date.
        batch_key: batch ids derive from it; empty: from the fingerprint.
    """

    spark: SparkSession
    tables: TableStore
    settings: "Settings"
    as_of: date
    run_id: str
    fingerprint: str
    started_at: datetime
    seed: int
    files_root: Path
    log: logging.Logger
    code: str = ""
    is_dry_run: bool = False
    is_forced: bool = False
    batch_key: str = ""

    def batch_id(self, part: str = "") -> str:
        """Batch id of the stage's write to one table; the same inputs give the same id, unless the run is forced."""
        return f"{(self.batch_key or self.fingerprint)[:24]}{':' + part if part else ''}"


def is_known(day: Column, as_of: date) -> Column:
    """Whether a record of this day was known by the end of `as_of`; records without a date count as known."""
    return day.isNull() | (day <= F.lit(as_of))


def in_parallel(work: Callable[[T], R], items: Iterable[T], *, num_threads: int = 3) -> list[R]:
    """Apply `work` to the items in a few threads; results in the order of the items.

    Small writes mostly plan and wait for commits: several at once keep the cores busy.
    """
    with ThreadPoolExecutor(num_threads) as pool:
        return list(pool.map(work, items))


def utc_now() -> datetime:
    """The current time in UTC, without a time zone."""
    return datetime.now(UTC).replace(tzinfo=None)
