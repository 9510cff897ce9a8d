"""Runs stages on one lake with one session."""

import os
import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import date
from pathlib import Path

from pyspark.sql import functions as F

from crm_spark.contracts.ops import RECONCILIATION
from crm_spark.core.context import UP_TO_DATE, JobContext, StageResult, utc_now
from crm_spark.core.days import local_day
from crm_spark.core.errors import InputError
from crm_spark.core.hashing import sha256_of
from crm_spark.core.log import get_logger
from crm_spark.core.session import build_session
from crm_spark.core.stage import Stage
from crm_spark.core.tables import TableStore
from crm_spark.migrations import upgrade_lake
from crm_spark.pipeline.fingerprint import fingerprint
from crm_spark.pipeline.ledger import Ledger
from crm_spark.pipeline.progress import logged_progress
from crm_spark.pipeline.stages import load_stage
from crm_spark.settings import Settings
from crm_spark.stages import STAGES


class Pipeline:
    """Runs stages on one lake, under the lease that its caller holds.

    Args:
        settings: the configuration.
        lake: directory or URI of the lake.
        as_of: logical date; None: the one of the settings, or the day of the newest event.
        is_dry_run: plan and check, write nothing.
        committing: context manager around every commit; raises if the run has lost its lease.
        run_id: id of the first run; None: a new one. Each further call of `run` is a run of its own.
    """

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
        lake = lake if "://" in lake else os.path.abspath(lake)  # Delta reads a relative path as a table name
        self.settings, self.lake, self.is_dry_run = settings, lake, is_dry_run
        self.requested_as_of = as_of or settings.as_of
        self.run_id = run_id or _new_run_id()
        self._has_run = False
        self.started_at = utc_now()
        self.log = get_logger()
        self.spark = build_session(settings.session, app_name="crm_spark")
        self.tables = TableStore(
            self.spark, lake, catalog=settings.catalog, committing=committing, is_dry_run=is_dry_run
        )

    def run(self, stages: Sequence[str] = STAGES, *, is_forced: bool = False) -> dict[str, StageResult]:
        """Run stages in order, except those whose inputs, configuration and code are those of their last run.

        Args:
            stages: names of the stages.
            is_forced: run stages that are up to date as well, and write their results again.
        """
        if self._has_run:
            self.run_id = _new_run_id()
        self._has_run = True
        upgrade_lake(self.tables, files_root(self.lake))
        ledger = Ledger(self.tables)
        ledger.load()
        results = {}
        for stage in map(load_stage, stages):
            if self.is_dry_run and stages[0] == "ingest" != stage.name and not self.tables.exists(RECONCILIATION):
                self.log.info("dry run: the lake is empty, so the stages after ingest cannot be planned")
                break
            ctx = self._context(stage)
            ctx = replace(ctx, fingerprint=fingerprint(stage, ctx), is_forced=is_forced)
            if is_forced:  # with batch ids of its own: those of the last run are committed already
                ctx = replace(ctx, batch_key=sha256_of([ctx.fingerprint, self.run_id]))
            must_run = is_forced or (stage.must_run is not None and stage.must_run(ctx))
            if ledger.is_recorded(stage, ctx.fingerprint) and not must_run:
                self.log.info("%-10s up to date", stage.name)
                results[stage.name] = StageResult(status=UP_TO_DATE)
                continue
            started = time.monotonic()
            result = results[stage.name] = self._run_one(stage, ctx)
            if not self.is_dry_run and ledger.must_record(stage, result):
                ledger.record(stage, ctx, result, time.monotonic() - started)
        return results

    def _run_one(self, stage: Stage, ctx: JobContext) -> StageResult:
        started = time.monotonic()
        try:
            with logged_progress(self.spark.sparkContext, stage.name):
                result = stage.run(ctx)
        finally:
            self.spark.catalog.clearCache()  # frames that a stage cached, also if it returned early
        seconds = time.monotonic() - started
        self.log.info(
            "%-10s %-7s %10d rows %7.1f s  %s", stage.name, result.status, result.num_rows, seconds, result.note
        )
        return result

    def _context(self, stage: Stage) -> JobContext:
        return JobContext(
            spark=self.spark,
            tables=self.tables,
            settings=self.settings,
            as_of=self._as_of() if stage.has_as_of else self._today,
            run_id=self.run_id,
            fingerprint="",
            started_at=self.started_at,
            seed=self.settings.seed,
            files_root=files_root(self.lake),
            log=self.log,
            is_dry_run=self.is_dry_run,
        )

    @property
    def _today(self) -> date:
        return local_day(self.started_at, self.settings.company.time_zone)

    def _as_of(self) -> date:
        if self.requested_as_of:
            return self.requested_as_of
        newest = self.tables.read(RECONCILIATION).agg(F.max("last_event_at")).first()
        if newest is None or newest[0] is None:
            if not self.tables.exists(RECONCILIATION):
                raise InputError("There is no data in silver yet. Run ingest and clean first, or refresh.")
            return self._today  # no event of this company has a date
        return local_day(newest[0], self.settings.company.time_zone)


def _new_run_id() -> str:
    return uuid.uuid4().hex[:12]


def files_root(lake: str) -> Path:
    """Directory of the shards, models and the report of a lake.

    Raises:
        InputError: the lake is not a local or mounted directory.
    """
    if "://" in lake and not lake.startswith("file://"):
        raise InputError(
            f"{lake}: shards and models need a directory that every node mounts; give the lake by its mounted path."
        )
    return Path(lake.removeprefix("file://")) / "files"
