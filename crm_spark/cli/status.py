"""`crm-spark status`: what the last runs did, what arrived, which models are in use, and what to do next."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from crm_spark.cli.options import DEFAULT_CONF, Conf, Lake, Overrides
from crm_spark.core.errors import ArtifactError, InputError
from crm_spark.core.exit_codes import exit_code_of
from crm_spark.core.failures import last_failure
from crm_spark.core.log import number_of

if TYPE_CHECKING:
    from pyspark.sql import Row

    from crm_spark.core.tables import TableStore

_NUM_LISTED = 5
_DAYS_MENTIONED = 30
_LATE_FACTOR = 3
"""A source is late if it has been silent for this many times its usual interval between deliveries."""


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("status", help="Show the last runs, the deliveries, the models in use, and what to do next.")(_status)


def _status(lake: Lake, conf: Conf = DEFAULT_CONF, overrides: Overrides = None) -> None:
    raise typer.Exit(exit_code_of(lambda: run(lake, conf, overrides or [])))


def run(lake: str, conf: Path, overrides: list[str]) -> int:
    """Print the status of a lake; nothing is written.

    Raises:
        InputError: there is no lake, or it has another layout.
    """
    from crm_spark.contracts.ops import RUN
    from crm_spark.core.context import utc_now
    from crm_spark.core.files import LakeFiles
    from crm_spark.core.session import build_session
    from crm_spark.core.tables import TableStore
    from crm_spark.core.uris import lake_root
    from crm_spark.migrations import require_supported_layout
    from crm_spark.settings import load_settings
    from crm_spark.telemetry.source_status import source_status

    settings = load_settings(conf, overrides)
    spark = build_session(settings.session, app_name="crm_spark status")
    store = TableStore(spark, lake_root(lake))
    require_supported_layout(store)
    if not store.exists(RUN):
        raise InputError(f"{lake}: no stage has run there yet. Run a refresh first.")
    copy = LakeFiles(spark, store.root, is_reading=True)
    copy.fetch()
    files = copy.folder
    now = utc_now()
    sources, blocked, rejected = source_status(store), _blocked(store), _rejected(store, now)
    _print_table("Last runs", ("stage", "status", "ended (UTC)", "as of", "rows", "seconds", "note"), _runs(store))
    _print_table(
        "Sources",
        ("source", "deliveries", "newest (UTC)", "its records", "quarantined rows", "newest event (UTC)"),
        [_source_line(row) for row in sources],
    )
    _print_table("Models", ("model", "version", "fitted"), _models(files))
    print("\nTo do")
    failure = last_failure(files)
    failed = [] if failure is None else [f"{failure.ended_at}: {failure.summary} Error: {failure.error}"]
    for task in [*failed, *_tasks(sources, blocked, rejected, now)] or ["nothing"]:
        print(f"  {task}")
    return 0


def _print_table(title: str, names: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print aligned columns; the last one is not padded."""
    print(f"\n{title}")
    widths = [max(len(name), *(len(row[i]) for row in rows)) if rows else len(name) for i, name in enumerate(names)]
    for row in (names, *rows):
        print(("  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths))).rstrip())


def _runs(store: "TableStore") -> list[list[str]]:
    """The newest run of each stage, in the order of a refresh."""
    from pyspark.sql import functions as F

    from crm_spark.contracts.ops import RUN
    from crm_spark.stages import ON_REQUEST_SUMMARIES, STAGES

    newest = F.max_by(F.struct("status", "ended_at", "as_of", "num_rows", "seconds", "note"), "ended_at").alias("run")
    by_stage = {row["stage"]: row["run"] for row in store.read(RUN).groupBy("stage").agg(newest).collect()}
    return [
        [
            *(stage, run["status"], _time(run["ended_at"]), str(run["as_of"] or ""), f"{run['num_rows']:,}"),
            *(f"{run['seconds']:.0f}", run["note"] or ""),
        ]
        for stage in (*STAGES, *ON_REQUEST_SUMMARIES)
        if (run := by_stage.get(stage)) is not None
    ]


def _source_line(row: "Row") -> list[str]:
    quarantined = "not cleaned yet" if row["num_in"] is None else f"{row['num_quarantined']:,} of {row['num_in']:,}"
    return [
        *(row["source"], f"{row['num_deliveries']:,}", _time(row["newest_at"]), f"{row['num_rows']:,}", quarantined),
        _time(row["newest_event_at"]),
    ]


def _blocked(store: "TableStore") -> "list[Row]":
    """Blocked deliveries with rows that are still quarantined."""
    from pyspark.sql import functions as F

    from crm_spark.contracts.ops import FINDING, QUARANTINE

    blocked = store.read(FINDING).where("severity = 'block'").select("source", "entity", "batch_id", "code").distinct()
    quarantined = store.read(QUARANTINE).where(F.col("status") == "quarantined")
    return blocked.join(quarantined, ["source", "entity", "batch_id"], "left_semi").orderBy("source").collect()


def _rejected(store: "TableStore", now: datetime) -> "list[Row]":
    """Files of the last weeks whose newest version was rejected, newest first."""
    from pyspark.sql import functions as F

    from crm_spark.contracts.ops import DELIVERY

    newest = F.max_by(F.struct("status", "reason", "position", "hint", "arrived_at"), "arrived_at").alias("last")
    files = store.read(DELIVERY).groupBy("source", "file").agg(newest).where("last.status = 'rejected'")
    # A file that its source sent again under another name is not worth mentioning for ever.
    files = files.where(F.col("last.arrived_at") > F.lit(now - timedelta(days=_DAYS_MENTIONED)))
    return (
        files.select("source", "file", "last.*").orderBy(F.desc("arrived_at"), "file").limit(_NUM_LISTED + 1).collect()
    )


def _models(files: Path) -> list[list[str]]:
    """Models in use, with the day they were fitted on."""
    from crm_spark.models.fitted import fitted_in_use
    from crm_spark.models.registry import current_version, models_dir, open_model

    rows = []
    if version := current_version(files):
        try:
            fitted = open_model(models_dir(files) / version).card.get("made_from", {}).get("as_of", "")
        except ArtifactError as error:
            fitted = f"error: {error}"
        rows.append(["text", version, fitted])
    return rows + [[name, version, as_of] for name, version, as_of in fitted_in_use(files)]


def _tasks(
    sources: "Sequence[Row]", blocked: "Sequence[Row]", rejected: "Sequence[Row]", now: datetime
) -> Iterable[str]:
    for row in blocked[:_NUM_LISTED]:
        yield (
            f"{row['source']} -> {row['entity']}: delivery {row['batch_id']} is blocked ({row['code']}). Correct the source, the "
            "mapping or the rule, then run replay."
        )
    for row in rejected[:_NUM_LISTED]:
        where = f" at {row['position']}" if row["position"] else ""
        yield f"{row['source']}: file {row['file']} was rejected ({row['reason']}{where}). {row['hint'] or ''}".rstrip()
    if len(blocked) > _NUM_LISTED:
        yield f"and {len(blocked) - _NUM_LISTED} more blocked deliveries: see ops.finding."
    if len(rejected) > _NUM_LISTED:
        yield "and more rejected files: see ops.delivery."
    for row in sources:
        if row["num_in"] is None:
            yield f"{row['source']}: the newest delivery is not cleaned yet. Run a refresh."
        if (days := _days_late(row, now)) is not None:
            usual = max(1, round(_usual_interval(row) / timedelta(days=1)))
            yield f"{row['source']}: no delivery for {days} days; usually there is one every {number_of(usual, 'day')}."


def _usual_interval(row: Any) -> timedelta:
    interval: timedelta = (row["newest_at"] - row["first_at"]) / max(1, row["num_days"] - 1)
    return max(interval, timedelta(days=1))


def _days_late(row: Any, now: datetime) -> int | None:
    """Days since the newest delivery, if that is far longer than usual; None otherwise, and for too few days of arrival."""
    if row["num_days"] < _LATE_FACTOR:
        return None
    silent: timedelta = now - row["newest_at"]
    return silent.days if silent > _LATE_FACTOR * _usual_interval(row) else None


def _time(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M}"
