"""Runs stages on one lake with one session."""

import time
import uuid
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import date, datetime

from pyspark.sql import functions as F

from crm_spark.contracts.ops import RECONCILIATION
from crm_spark.core.context import UP_TO_DATE, JobContext, StageResult, utc_now
from crm_spark.core.days import local_day
from crm_spark.core.errors import InputError
from crm_spark.core.failures import describe
from crm_spark.core.files import LakeFiles
from crm_spark.core.hashing import sha256_of
from crm_spark.core.log import get_logger
from crm_spark.core.session import build_session
from crm_spark.core.stage import Stage
from crm_spark.core.tables import TableStore
from crm_spark.core.uris import is_remote, lake_root
from crm_spark.migrations import upgrade_lake
from crm_spark.pipeline.fingerprint import fingerprint
from crm_spark.pipeline.ledger import Ledger
from crm_spark.pipeline.progress import logged_progress
from crm_spark.pipeline.source_digest import source_digest
from crm_spark.pipeline.stages import load_stage
from crm_spark.settings import Settings
from crm_spark.stages import STAGES
from crm_spark.telemetry.observer import Observer, StageRun, tell


class Pipeline:
    """Runs stages on one lake, under the lease that its caller holds.

    Args:
        settings: the configuration.
        lake: directory or URI of the lake.
        as_of: logical date; None: the one of the settings, or the day of the newest event.
        is_dry_run: plan and check, write nothing.
        committing: context manager around every commit; raises if the run has lost its lease.
        run_id: id of the first run; None: a new one. Each further call of `run` is a run of its own.
        observers: of the stages of a run; a dry run has none.

    Attributes:
        current_stage: name of the stage that runs, or of the last one; empty before the first.
        results: of the stages that the last call of `run` has finished.
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
        observers: Sequence[Observer] = (),
    ):
        lake = lake_root(lake)
        self.settings, self.lake, self.is_dry_run = settings, lake, is_dry_run
        self.requested_as_of = as_of or settings.as_of
        self.run_id = run_id or _new_run_id()
        self._has_run = False
        self._newest_events: dict[int, datetime | None] = {}  # by version of ops.reconciliation
        self.current_stage = ""
        self.results: dict[str, StageResult] = {}
        self.started_at = utc_now()
        self.observers = () if is_dry_run else observers
        self.log = get_logger()
        self.spark = build_session(settings.session, app_name="crm_spark")
        self.files = LakeFiles(self.spark, lake)
        self.tables = TableStore(
            self.spark, lake, catalog=settings.catalog, committing=committing, is_dry_run=is_dry_run
        )

    def run(
        self, stages: Sequence[str] = STAGES, *, is_forced: bool = False, is_retraining: bool = False
    ) -> dict[str, StageResult]:
        """Run stages in order, except those whose inputs, configuration and code are those of their last run.

        Args:
            stages: names of the stages.
            is_forced: run stages that are up to date as well, and write their results again.
            is_retraining: do so for the stages that fit a model, whatever their policy.
        """
        if self._has_run:
            self.run_id = _new_run_id()
        self._has_run = True
        self.files.fetch()
        upgrade_lake(self.tables, self.files.folder)
        ledger = Ledger(self.tables)
        ledger.load()
        results = self.results = {}
        for stage in map(load_stage, stages):
            self.current_stage = stage.name
            if self.is_dry_run and stages[0] == "ingest" != stage.name and not self.tables.exists(RECONCILIATION):
                self.log.info("dry run: the lake is empty, so the stages after ingest cannot be planned")
                break
            ctx = self._context(stage)
            must_redo = is_forced or (is_retraining and stage.fits_model)
            ctx = replace(ctx, fingerprint=fingerprint(stage, ctx), is_forced=must_redo)
            if must_redo:  # with batch ids of its own: those of the last run are committed already
                ctx = replace(ctx, batch_key=sha256_of([ctx.fingerprint, self.run_id]))
            must_run = must_redo or (stage.must_run is not None and stage.must_run(ctx))
            if ledger.is_recorded(stage, ctx.fingerprint) and not must_run:
                self.log.info("%-10s up to date", stage.name, extra={"stage": stage.name, "status": UP_TO_DATE})
                results[stage.name] = StageResult(status=UP_TO_DATE)
                tell(self.observers, "stage_ended", StageRun(self.run_id, stage.name, status=UP_TO_DATE))
                continue
            started = time.monotonic()
            result = results[stage.name] = self._run_one(stage, ctx)
            if not self.is_dry_run:
                self.publish_files()
            if not self.is_dry_run and ledger.must_record(stage, result):
                ledger.record(stage, ctx, result, time.monotonic() - started)
        return results

    def publish_files(self) -> None:
        """Write back what changed in the copy of the files of a lake at a URI, unless another run holds the lease."""
        if is_remote(self.lake):
            with self.tables.committing():
                self.files.publish()

    def _run_one(self, stage: Stage, ctx: JobContext) -> StageResult:
        started = time.monotonic()
        observed = StageRun(self.run_id, stage.name, reads=stage.reads)
        self.tables.num_written.clear()
        tell(self.observers, "stage_started", observed)
        try:
            with logged_progress(self.spark.sparkContext, stage.name):
                result = stage.run(ctx)
            observed.status, observed.num_rows = result.status, result.num_rows
        except Exception as error:
            observed.status, observed.error = "failed", describe(error)[0]
            raise
        finally:
            self.spark.catalog.clearCache()  # frames that a stage cached, also if it returned early
            observed.seconds, observed.writes = time.monotonic() - started, dict(self.tables.num_written)
            tell(self.observers, "stage_ended", observed)
        seconds = observed.seconds
        fields = {"status": result.status, "num_rows": result.num_rows, "seconds": round(seconds, 1)}
        self.log.info(
            "%-10s %-7s %10d rows %7.1f s  %s",
            *(stage.name, result.status, result.num_rows, seconds, result.note),
            extra={"stage": stage.name, **fields},
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
            files_root=self.files.folder,
            log=self.log,
            code=_code_of(stage),
            is_dry_run=self.is_dry_run,
        )

    @property
    def _today(self) -> date:
        return local_day(self.started_at, self.settings.company.time_zone)

    def _as_of(self) -> date:
        if self.requested_as_of:
            return self.requested_as_of
        version = self.tables.version(RECONCILIATION)
        if version < 0:
            raise InputError("There is no data in silver yet. Run ingest and clean first, or refresh.")
        if version not in self._newest_events:
            row = self.tables.read(RECONCILIATION).agg(F.max("last_event_at")).first()
            self._newest_events[version] = row[0] if row is not None else None
        newest = self._newest_events[version]
        # Without a dated event, the day of the run.
        return self._today if newest is None else local_day(newest, self.settings.company.time_zone)


def _code_of(stage: Stage) -> str:
    digests = [source_digest(load_stage(name).package) for name in stage.builds_on]
    return sha256_of([source_digest(stage.package), *digests]) if digests else source_digest(stage.package)


def _new_run_id() -> str:
    return uuid.uuid4().hex[:12]
