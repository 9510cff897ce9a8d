"""What becomes of a run that fails: a file beside the lake's other files, a note at the end of the error, a webhook."""

import json
import urllib.request
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Protocol

from pydantic import Field

from crm_spark.core.config import Config
from crm_spark.core.errors import ExitCode
from crm_spark.core.exit_codes import explained
from crm_spark.core.log import get_logger, number_of

FAILURE_FILE = "failure.json"
_TIMEOUT_SECONDS = 10


class AlertsConfig(Config):
    """Alerts about failed runs."""

    webhook: Annotated[str, Field(pattern="^https?://")] | None = None
    """URL that gets a POST with a JSON object when a run fails or an expectation blocks data: run_id, stage, error, exit_code,
    started_at, ended_at and stages_done. It contains no customer data. null: none."""


@dataclass(frozen=True)
class Failure:
    """A failed run; times are UTC in ISO format.

    Attributes:
        run_id: id of the run.
        stage: stage that failed; empty before the first.
        error: message of a known error, or the class and condition of another one: its message may quote data.
        exit_code: of the job.
        started_at: start of the run.
        ended_at: end of the run.
        stages_done: stages that had finished, or were up to date.
    """

    run_id: str
    stage: str
    error: str
    exit_code: int
    started_at: str
    ended_at: str
    stages_done: tuple[str, ...]

    @property
    def summary(self) -> str:
        """What happened and what to do, in two sentences."""
        where = f"in stage {self.stage}" if self.stage else "before the first stage"
        done = f"{number_of(len(self.stages_done), 'stage')} finished" if self.stages_done else "no stage finished"
        return (
            f"Run {self.run_id} failed {where}; {done}, and nothing that was written is lost. "
            "Correct the cause and run the same command again: finished stages are not repeated."
        )


def describe(error: Exception) -> tuple[str, int]:
    """Message and exit code of an expected error; of another one its class and, if Spark raised it, its condition."""
    if (known := explained(error)) is not None:
        return known[0], int(known[1])
    condition = getattr(error, "getCondition", lambda: None)()
    return f"{type(error).__name__}{f' ({condition})' if condition else ''}", int(ExitCode.FAILED)


@contextmanager
def reported(alerts: AlertsConfig, files_root: Path, run_id: str, stages: Collection[str]) -> Iterator["Progress"]:
    """Record and report a failure of the block; its summary becomes the last line of the error.

    Data that an expectation blocked is reported as well, but is no failure.

    Args:
        alerts: where alerts are sent.
        files_root: directory of the lake's files.
        run_id: id of the run.
        stages: that the run consists of; its success clears the failure of one of them.
    """
    progress, started_at = Progress(), _now()
    try:
        yield progress
    except Exception as error:
        pipeline = progress.pipeline
        stage, done = ("", ()) if pipeline is None else (pipeline.current_stage, tuple(pipeline.results))
        failure = Failure(run_id, stage, *describe(error), started_at, _now(), done)
        error.add_note(failure.summary)
        record_failure(files_root, failure)
        send_alert(alerts, failure)
        raise
    last = last_failure(files_root)
    if last is not None and (not last.stage or last.stage in stages):
        with suppress(OSError):
            (files_root / FAILURE_FILE).unlink(missing_ok=True)
    for stage, blocked in progress.blocked.items():
        done = () if progress.pipeline is None else tuple(progress.pipeline.results)
        send_alert(alerts, Failure(run_id, stage, blocked, int(ExitCode.DATA_BLOCKED), started_at, _now(), done))


class _Pipeline(Protocol):
    current_stage: str
    results: dict[str, Any]


@dataclass
class Progress:
    """How far a run is: the pipeline, None until Spark has started, and by stage what an expectation blocked."""

    pipeline: _Pipeline | None = None
    blocked: dict[str, str] = field(default_factory=dict)


def _now() -> str:
    return datetime.now(UTC).replace(tzinfo=None).isoformat(timespec="seconds")


def record_failure(files_root: Path, failure: Failure) -> None:
    """Write the failure for `crm-spark status`; a disk that is full must not hide the cause."""
    draft = files_root / f".{FAILURE_FILE}.draft"
    try:
        files_root.mkdir(parents=True, exist_ok=True)
        draft.write_text(json.dumps(asdict(failure), indent=1))
        draft.replace(files_root / FAILURE_FILE)
    except OSError as error:
        get_logger().warning("%s: not written (%s)", files_root / FAILURE_FILE, error.strerror)


def last_failure(files_root: Path) -> Failure | None:
    """Return the failure of the last run; None if it succeeded, or the record cannot be read."""
    try:
        content = json.loads((files_root / FAILURE_FILE).read_text())
        return Failure(**{**content, "stages_done": tuple(content["stages_done"])})
    except (OSError, ValueError, TypeError, KeyError):
        return None


def send_alert(alerts: AlertsConfig, failure: Failure) -> None:
    """POST the failure to the webhook, if there is one; an alert that fails is logged and changes nothing."""
    if alerts.webhook is None:
        return
    content = json.dumps(asdict(failure)).encode()
    try:
        request = urllib.request.Request(alerts.webhook, content, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=_TIMEOUT_SECONDS):
            pass
    except Exception as error:  # a URL or an answer of any kind must not change how the run ends
        get_logger().warning("alerts.webhook: the alert was not delivered: %s", error)
