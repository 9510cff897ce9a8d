"""What a stage is given: session, tables, settings, logical date, run id, seed. No stage asks the clock or the environment."""

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from crm_spark.core.tables import TableStore

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class StageResult:
    """What a stage did.

    Attributes:
        num_rows: rows written.
        status: done, skipped when it had nothing to work on, or nothing when all was done before.
        note: what it has to say, in a sentence.
        blocked: what a gate held back while the rest was done; the job ends with exit code 3.
        last_work_at: of a run that found nothing to do, the start of the run that did it.
    """

    num_rows: int = 0
    status: str = "done"
    note: str = ""
    blocked: str = ""
    last_work_at: datetime | None = None


def skipped(note: str) -> StageResult:
    """The result of a stage whose input this company does not have."""
    return StageResult(status="skipped", note=note)


@dataclass(frozen=True)
class JobContext:
    """Everything a stage may depend on.

    Attributes:
        spark: the session.
        tables: the lake.
        settings: the whole configuration; a stage reads its own section and `company`.
        as_of: logical date: everything up to the end of this day is known, nothing later.
        run_id: names this run.
        fingerprint: digest of the stage's inputs and configuration; its batches are named after it.
        started_at: the run's one look at the clock (UTC).
        seed: every random draw is a hash of this and a key.
        files_root: a local or mounted folder for what is no table: shards, models, the report.
        is_dry_run: plan and check, write nothing.
    """

    spark: SparkSession
    tables: TableStore
    settings: Any
    as_of: date
    run_id: str
    fingerprint: str
    started_at: datetime
    seed: int
    files_root: Path
    log: logging.Logger
    is_dry_run: bool = False
    extra: dict[str, Any] = field(default_factory=dict)

    def batch_id(self, part: str = "") -> str:
        """The batch id of this stage's write to one table; the same inputs give the same id."""
        return f"{self.fingerprint[:24]}{':' + part if part else ''}"


def is_known(day: Column, as_of: date) -> Column:
    """Whether a record of this day was known by the end of `as_of`; what has no date counts as known."""
    return day.isNull() | (day <= F.lit(as_of))


def in_parallel(work: Callable[[T], R], items: Iterable[T], *, num_threads: int = 3) -> list[R]:
    """The results of `work` in the order of the items, a few at a time.

    Small writes are mostly planning and waiting for commits: several at once keep the cores busy.
    """
    with ThreadPoolExecutor(num_threads) as pool:
        return list(pool.map(work, items))


def utc_now() -> datetime:
    """Now, without a zone, in UTC; called once per run."""
    return datetime.now(UTC).replace(tzinfo=None)
