"""The stages in order, each run only when something it depends on has changed."""

import importlib
import os
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from pyspark.sql import functions as F

from crm_spark import __version__
from crm_spark.contracts.ops import RECONCILIATION, RUN
from crm_spark.core.context import JobContext, StageResult, utc_now
from crm_spark.core.errors import InputError
from crm_spark.core.hashing import sha256_of
from crm_spark.core.log import get_logger
from crm_spark.core.session import build_session
from crm_spark.core.tables import TableStore
from crm_spark.settings import Settings


@dataclass(frozen=True)
class Stage:
    """A room of `crm_spark/stages`, its entry there, and whether its result belongs to a day."""

    name: str
    has_as_of: bool = True
    entry: str | None = None
    """Module with `run(ctx)`, `room.module`; null: the `stage` of the room of that name."""

    @property
    def module(self) -> Any:
        """Where `run(ctx)` stands."""
        return importlib.import_module(f"crm_spark.stages.{self.entry or f'{self.name}.stage'}")


STAGES = (
    Stage("ingest", has_as_of=False),
    Stage("clean", has_as_of=False),
    Stage("resolve", has_as_of=False),
    Stage("featurise"),
    Stage("segment"),
    Stage("predict"),
    Stage("recommend"),
    Stage("shard"),
    Stage("train"),
    Stage("score"),
    Stage("decide"),
    Stage("monitor"),
    Stage("report"),
)
ON_REQUEST = (Stage("replay", has_as_of=False, entry="clean.replay"),)
"""What a refresh leaves out and a person asks for."""


class Pipeline:
    """Runs stages on one lake with one session, under the lease its caller holds."""

    def __init__(
        self,
        settings: Settings,
        *,
        lake: str,
        as_of: date | None = None,
        is_dry_run: bool = False,
        committing: Callable[[], AbstractContextManager[None]] = nullcontext,
        run_id: str | None = None,
    ):
        lake = lake if "://" in lake else os.path.abspath(lake)  # Delta takes a relative path for a table's name
        self.settings, self.lake, self.asked_as_of, self.is_dry_run = (
            settings,
            lake,
            as_of or settings.as_of,
            is_dry_run,
        )
        self.run_id = run_id or uuid.uuid4().hex[:12]
        self.started_at, self.last_end = utc_now(), datetime.min
        self.log = get_logger()
        self.spark = build_session(settings.session, app_name="crm_spark")
        self.tables = TableStore(
            self.spark, lake, catalog=settings.catalog, committing=committing, is_dry_run=is_dry_run
        )

    def run(self, stages: tuple[Stage, ...] = STAGES, *, is_forced: bool = False) -> dict[str, StageResult]:
        """Runs the stages in order; one whose inputs, configuration and code are those of its last run is passed over."""
        last, ends = self._last_runs()
        last, self.last_end = {} if is_forced else last, max(ends.values(), default=datetime.min)
        results = {}
        for stage in stages:
            if self.is_dry_run and stages[0].name == "ingest" != stage.name and not self.tables.exists(RECONCILIATION):
                self.log.info("the lake is empty so far: what the stages after ingest would do cannot be said yet")
                break
            ctx = self._context(stage)
            is_wanted = getattr(stage.module, "must_run", lambda _: False)(ctx)
            if last.get(stage.name) == ctx.fingerprint and not is_wanted:
                self.log.info("%-10s up to date", stage.name)
                results[stage.name] = StageResult(status="unchanged")
                continue
            results[stage.name] = self._run_one(stage, ctx, last_end=ends.get(stage.name, datetime.min))
        return results

    def _run_one(self, stage: Stage, ctx: JobContext, *, last_end: datetime) -> StageResult:
        started = time.monotonic()
        try:
            result: StageResult = stage.module.run(ctx)
        finally:
            self.spark.catalog.clearCache()  # what a stage kept for itself ends with it, also where it returns early
        seconds = time.monotonic() - started
        self.log.info(
            "%-10s %-7s %10d rows %7.1f s  %s", stage.name, result.status, result.num_rows, seconds, result.note
        )
        if not self.is_dry_run and _belongs_in_the_ledger(result, last_end):
            self._record(stage, ctx, result, seconds)
        return result

    def _context(self, stage: Stage) -> JobContext:
        as_of = self._as_of() if stage.has_as_of else self.started_at.date()
        draft = JobContext(
            spark=self.spark,
            tables=self.tables,
            settings=self.settings,
            as_of=as_of,
            run_id=self.run_id,
            fingerprint="",
            started_at=self.started_at,
            seed=self.settings.seed,
            files_root=files_root(self.lake),
            log=self.log,
            is_dry_run=self.is_dry_run,
        )
        fingerprint = sha256_of(
            {
                "stage": stage.name,
                "code": __version__,
                "config": getattr(self.settings, stage.name).model_dump(mode="json"),
                "company": self.settings.company.model_dump(mode="json"),
                "seed": self.settings.seed,
                "as_of": str(as_of) if stage.has_as_of else None,
                "inputs": self._inputs(stage, draft),
            }
        )
        return JobContext(**{**vars(draft), "fingerprint": fingerprint})

    def _inputs(self, stage: Stage, ctx: JobContext) -> dict[str, Any]:
        module = stage.module
        declared = {table.name: self.tables.version(table) for table in getattr(module, "INPUTS", ())}
        return {**declared, **(module.inputs(ctx) if hasattr(module, "inputs") else {})}

    def _as_of(self) -> date:
        if self.asked_as_of:
            return self.asked_as_of
        newest = self.tables.read(RECONCILIATION).agg(F.max("last_event_at")).first()
        if newest is None or newest[0] is None:
            if not self.tables.exists(RECONCILIATION):
                raise InputError("There is no data in silver yet. Run ingest and clean first, or refresh.")
            return self.started_at.date()  # no event of this company carries a date
        return newest[0].date()

    def _last_runs(self) -> tuple[dict[str, str], dict[str, datetime]]:
        """Of each stage the fingerprint of its last run, and when that ended."""
        if not self.tables.exists(RUN):
            return {}, {}
        newest = self.tables.read(RUN).groupBy("stage")
        rows = newest.agg(F.max_by("fingerprint", "ended_at").alias("fingerprint"), F.max("ended_at").alias("at"))
        found = rows.collect()
        return {row["stage"]: row["fingerprint"] for row in found}, {row["stage"]: row["at"] for row in found}

    def _record(self, stage: Stage, ctx: JobContext, result: StageResult, seconds: float) -> None:
        # Which run is a stage's last is told by when it ended: a clock that was set back must not undo the order.
        self.last_end = max(utc_now(), self.last_end + timedelta(microseconds=1))
        row = (
            self.run_id,
            stage.name,
            ctx.as_of if stage.has_as_of else None,
            ctx.fingerprint,
            "done" if result.status == "nothing" else result.status,
            result.num_rows,
            seconds,
            result.note or None,
            self.last_end,
        )
        frame = self.spark.createDataFrame([row], RUN.schema)
        batch_id = f"run:{self.run_id}:{stage.name}"
        self.tables.append(RUN, frame, batch_id=batch_id, digest=batch_id)


def _belongs_in_the_ledger(result: StageResult, last_end: datetime) -> bool:
    """Whether a run is told: not one that found nothing to do, unless the one that did it was killed before its row."""
    return result.status != "nothing" or (result.last_work_at is not None and result.last_work_at > last_end)


def files_root(lake: str) -> Path:
    """Where shards, models and the report lie: in the lake where it is a folder.

    Raises:
        InputError: the lake is no local or mounted folder.
    """
    if "://" in lake and not lake.startswith("file://"):
        raise InputError(
            f"{lake}: shards and models need a folder that every node mounts; give the lake by its mounted path."
        )
    return Path(lake.removeprefix("file://")) / "files"
