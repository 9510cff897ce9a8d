"""The ledger of runs, ops.run: what each stage last ran on, and when."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from pyspark.sql import functions as F

from crm_spark.contracts.ops import RUN
from crm_spark.core.context import NO_NEW_INPUT, JobContext, StageResult, utc_now
from crm_spark.core.stage import Stage
from crm_spark.core.tables import TableStore


@dataclass(frozen=True)
class LastRun:
    """The newest run of a stage."""

    fingerprint: str
    ended_at: datetime


class Ledger:
    """Reads and writes ops.run.

    The newest run of a stage is the one that ended last. End times never decrease, also when the clock is set back.
    """

    def __init__(self, tables: TableStore):
        self.tables = tables
        self.last_runs: dict[str, LastRun] = {}
        self._last_end = datetime.min

    def load(self) -> None:
        """Read the newest run of each stage."""
        if not self.tables.exists(RUN):
            return
        newest = self.tables.read(RUN).groupBy("stage")
        rows = newest.agg(F.max_by("fingerprint", "ended_at").alias("fingerprint"), F.max("ended_at").alias("ended_at"))
        self.last_runs = {row["stage"]: LastRun(row["fingerprint"], row["ended_at"]) for row in rows.collect()}
        self._last_end = max((run.ended_at for run in self.last_runs.values()), default=datetime.min)

    def is_recorded(self, stage: Stage, fingerprint: str) -> bool:
        """Whether the newest run of the stage has this fingerprint."""
        last = self.last_runs.get(stage.name)
        return last is not None and last.fingerprint == fingerprint

    def must_record(self, stage: Stage, result: StageResult) -> bool:
        """Whether a run gets a row: runs without new input do only if the run that did the work was killed before its row."""
        if result.status != NO_NEW_INPUT:
            return True
        last = self.last_runs.get(stage.name)
        last_end = last.ended_at if last else datetime.min
        return result.last_work_at is not None and result.last_work_at > last_end

    def record(self, stage: Stage, ctx: JobContext, result: StageResult, seconds: float) -> None:
        """Add a row for a finished run."""
        self._last_end = max(utc_now(), self._last_end + timedelta(microseconds=1))
        row = (
            ctx.run_id,
            stage.name,
            ctx.as_of if stage.has_as_of else None,
            ctx.fingerprint,
            "done" if result.status == NO_NEW_INPUT else result.status,
            result.num_rows,
            seconds,
            result.note or None,
            self._last_end,
        )
        frame = self.tables.spark.createDataFrame([row], RUN.schema)
        batch_id = f"run:{ctx.run_id}:{stage.name}"
        self.tables.append(RUN, frame, batch_id=batch_id, digest=batch_id, is_unique=True)
