"""Ingest stage: write new files and database rows to bronze, unchanged and exactly once.

The plan is written to ops.delivery before the first record is read, so the next run completes an interrupted one with the
same batches, even if more files have arrived.
"""

from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import DELIVERY
from crm_spark.core.context import NO_NEW_INPUT, JobContext, StageResult, in_parallel
from crm_spark.core.errors import ConfigError, CrmError, InputError
from crm_spark.core.hashing import sha256_of
from crm_spark.core.log import number_of
from crm_spark.core.shipping import sees_files
from crm_spark.core.stage import Stage
from crm_spark.core.uris import is_remote
from crm_spark.sources.config import Source, load_sources
from crm_spark.sources.files import Files
from crm_spark.stages.ingest.config import IngestConfig
from crm_spark.stages.ingest.delivery_status import (
    INGESTED,
    PLANNED,
    REJECTED,
    SKIPPED,
    UNSETTLED,
    WITHDRAWN,
    rejection,
    status_row,
)
from crm_spark.stages.ingest.discovery import Delivery, list_files, unseen
from crm_spark.stages.ingest.file_copies import paths_for_spark
from crm_spark.stages.ingest.file_reasons import HINTS
from crm_spark.stages.ingest.file_stream import stream_files
from crm_spark.stages.ingest.file_validation import FileReport, examine_files, validated_file
from crm_spark.stages.ingest.jdbc import ingest_jdbc
from crm_spark.stages.ingest.reader import normalised, one_file_per_task, read_records
from crm_spark.stages.ingest.source_file import ARCHIVE_SEPARATOR, SourceFile
from crm_spark.stages.ingest.staging import Fetch, staged
from crm_spark.stages.ingest.unreadable import with_defects_of_reading, without_unreadable

CHANGED_SINCE = "changed_since"


def inputs(ctx: JobContext) -> dict[str, Any]:
    """Inputs of the stage: file listing and read options of every source."""
    cfg: IngestConfig = ctx.settings.ingest
    listings: dict[str, Any] = {}
    for source in load_sources(Path(cfg.sources_dir)):
        if source.jdbc is not None:
            listings[source.name] = ["jdbc", ctx.run_id]  # changes in a database are only visible by querying it
            continue
        listing = [
            (f.name, f.num_bytes, f.modified_at, f.blocked) for f in list_files(ctx.spark, source, _data_dir(cfg))
        ]
        listings[source.name] = [listing, source.files.model_dump() if source.files else None]
    return listings


def run(ctx: JobContext) -> StageResult:
    """Ingest every new file and table row of every source into bronze."""
    cfg: IngestConfig = ctx.settings.ingest
    num_streamed = 0
    if cfg.files_per_batch is not None and cfg.data_dir is not None and not ctx.is_dry_run:
        ingest_batch = partial(_ingest_paths, ctx)
        num_streamed = stream_files(ctx, cfg.data_dir, ingest_batch, files_per_batch=cfg.files_per_batch)
    result = _ingest_new(ctx)
    if not num_streamed:
        return result
    return replace(result, status="done", num_rows=num_streamed + result.num_rows)


def _ingest_paths(ctx: JobContext, paths: frozenset[str]) -> int:
    return _ingest_new(ctx, paths).num_rows


def _ingest_new(ctx: JobContext, paths: frozenset[str] | None = None) -> StageResult:
    """Ingest new files, optionally limited to these paths."""
    with staged(ctx) as fetch:
        return _ingest_staged(ctx, paths, fetch)


def _ingest_staged(ctx: JobContext, paths: frozenset[str] | None, fetch: Fetch) -> StageResult:
    cfg: IngestConfig = ctx.settings.ingest
    sources = {source.name: source for source in load_sources(Path(cfg.sources_dir))}
    history = ctx.tables.read(DELIVERY).collect()
    num_rows = 0
    for source in sources.values():
        if source.jdbc is not None and paths is None:
            num_rows += ingest_jdbc(ctx, source, history)
    deliveries, status_rows = _plan(ctx, sources, history, paths, fetch)
    if status_rows:
        _record(ctx, status_rows, part=f"plan:{sha256_of([v['batch_id'] for v in status_rows])[:16]}")
    if ctx.is_dry_run:
        for delivery in deliveries:
            ctx.log.info("dry run: would ingest %s: %s", delivery.source, number_of(len(delivery.files), "file"))
        return StageResult(0, note="dry run")
    with one_file_per_task(ctx.spark):
        outcomes, failures = _ingest_all(ctx, sources, deliveries, history)
    num_rows += sum(row["num_rows"] for row in outcomes)
    if outcomes:
        _record(ctx, outcomes, part=f"done:{sha256_of([o['batch_id'] for o in outcomes])[:16]}")
    if not outcomes and not status_rows and not failures and not num_rows and history:
        return StageResult(status=NO_NEW_INPUT, last_work_at=max(row["arrived_at"] for row in history))
    num_rejected = sum(row["status"] == REJECTED for row in (*status_rows, *failures))
    note = number_of(len(outcomes), "file") + (f", {num_rejected} rejected" if num_rejected else "")
    if paths is None and not history and not outcomes and not status_rows and not num_rows:
        raise InputError(
            f"No source files found in {cfg.data_dir}. Check ingest.data_dir and files.path of the sources."
        )
    return StageResult(num_rows, note=note)


def _ingest_all(
    ctx: JobContext, sources: dict[str, Source], deliveries: list[Delivery], history: list[Row]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Ingest the deliveries, without files that cannot be read.

    Returns:
        Status rows of the ingested files, and those that reject files and plan their deliveries again.
    """

    def attempt(delivery: Delivery) -> list[dict[str, Any]] | Exception:
        try:
            return _ingest(ctx, sources[delivery.source], delivery, columns_known(history, delivery.source))
        except CrmError:
            raise
        except Exception as error:
            return error

    outcomes: list[dict[str, Any]] = []
    failures: list[dict[str, Any]] = []
    for delivery, result in zip(deliveries, in_parallel(attempt, deliveries)):
        while isinstance(result, Exception):
            delivery, status_rows = without_unreadable(ctx, sources[delivery.source], delivery, result)
            _record(ctx, status_rows, part=f"failed:{sha256_of([v['batch_id'] for v in status_rows])[:16]}")
            failures += status_rows
            result = attempt(delivery) if delivery.files else []
        outcomes += result
    return outcomes, failures


def columns_known(history: Iterable[Row], source: str) -> frozenset[str]:
    """Columns of all files ingested for the source so far."""
    past = (row for row in history if row["source"] == source and row["status"] == INGESTED)
    return frozenset(name for row in past for name in row["columns"] or ())


def _plan(
    ctx: JobContext, sources: dict[str, Source], history: list[Row], paths: frozenset[str] | None, fetch: Fetch
) -> tuple[list[Delivery], list[dict[str, Any]]]:
    """Plan the deliveries to read (unfinished batches and new files) and the status rows of the examined files."""
    cfg: IngestConfig = ctx.settings.ingest
    deliveries: list[Delivery] = []
    unfinished: dict[str, dict[str, list[Row]]] = {}
    fresh: list[tuple[SourceFile, Source]] = []
    file_sources = [
        (s, [row for row in history if row["source"] == s.name]) for s in sources.values() if s.files is not None
    ]
    for source, past in file_sources:
        written_batches, unfinished[source.name] = _unfinished(ctx, source, past)
        deliveries.extend(_delivery_of(source, rows) for rows in written_batches.values())
        # Check rejected files again, since permissions or configuration may have been fixed, and files of unfinished
        # batches, since their content may have changed.
        settled = [r for r in past if r["status"] not in UNSETTLED and r["batch_id"] not in unfinished[source.name]]
        unfinished_files = {
            r["file"].split(ARCHIVE_SEPARATOR)[0] for rows in unfinished[source.name].values() for r in rows
        }
        files = unseen(
            list_files(ctx.spark, source, _data_dir(cfg)),
            ((r["file"], r["num_bytes"], r["modified_at"]) for r in settled),
        )
        selected = [f for f in files if paths is None or f.name in unfinished_files or normalised(f.path) in paths]
        fresh.extend((file, source) for file in fetch(selected))
    may_open = [(file, source.files) for file, source in fresh if file.blocked is None and source.files is not None]
    examined = {}
    if may_open:
        examined = examine_files(
            ctx.spark,
            may_open,
            max_unpacked_ratio=cfg.max_unpacked_ratio,
            is_on_driver=is_remote(_data_dir(cfg)) and not sees_files(ctx),
        )
    status_rows: list[dict[str, Any]] = []
    for source, past in file_sources:
        reports = [
            report
            for file, owner in fresh
            if owner.name == source.name
            for report in _members(file, examined.get((source.name, file.name)))
        ]
        reports = with_defects_of_reading(ctx, source, reports, past)
        resumed, withdrawn = _resumed(ctx, source, reports, unfinished[source.name])
        resumed_files = {
            (file.name, digest) for delivery in resumed for file, digest in zip(delivery.files, delivery.digests)
        }
        reports = [(file, report) for file, report in reports if (file.name, report.digest) not in resumed_files]
        withdrawn_ids = {row["batch_id"] for row in withdrawn}
        new_deliveries, statuses = _classified(
            ctx, source, reports, [row for row in past if row["batch_id"] not in withdrawn_ids]
        )
        deliveries.extend([*resumed, *new_deliveries])
        status_rows.extend([*withdrawn, *statuses])
    return deliveries, status_rows


def _members(file: SourceFile, examined: list[FileReport] | None) -> list[tuple[SourceFile, FileReport]]:
    """Pair the file, or each member of the archive, with its validation report."""
    if examined is None:
        hint = HINTS.get(file.blocked or "", "")
        return [(file, FileReport(file.name, sha256_of([file.name]), file.num_bytes, damage=file.blocked, hint=hint))]
    return [(validated_file(file, report), report) for report in examined]


def _classified(
    ctx: JobContext, source: Source, reports: list[tuple[SourceFile, FileReport]], past: list[Row]
) -> tuple[list[Delivery], list[dict[str, Any]]]:
    """Delivery of all new valid files (at most one), and the status row of each file."""
    known = {row["file_sha256"] for row in past if row["status"] not in UNSETTLED}
    rejected = {(row["file"], row["file_sha256"], row["reason"]) for row in past if row["status"] == REJECTED}
    skipped: set[tuple[str, str]] = set()
    fresh: list[tuple[SourceFile, str]] = []
    status_rows: list[dict[str, Any]] = []
    for file, examined in reports:
        digest, damage = examined.digest, examined.damage
        if damage is not None:
            if (file.name, digest, damage) not in rejected:
                # Two files, or two members of one name, may have the same content.
                rejected.add((file.name, digest, damage))
                status_rows.append(rejection(ctx, file, examined))
        elif digest in known:
            if (file.name, digest) not in skipped:
                skipped.add((file.name, digest))
                ctx.log.info("%s: file %s skipped: its content was ingested before", source.name, file.name)
                batch_id = f"skipped:{sha256_of(file.name)[:16]}"
                status_rows.append(status_row(ctx, file, digest, batch_id, SKIPPED, "same_bytes"))
        else:
            known.add(digest)
            fresh.append((file, digest))
            if examined.num_replaced:
                ctx.log.warning(
                    "%s: file %s: %d invalid byte sequences replaced", source.name, file.name, examined.num_replaced
                )
    if not fresh:
        return [], status_rows
    delivery = Delivery(source.name, tuple(f for f, _ in fresh), tuple(d for _, d in fresh))
    return [delivery], [*status_rows, *(status_row(ctx, f, d, delivery.batch_id, PLANNED) for f, d in fresh)]


def _unfinished(ctx: JobContext, source: Source, past: list[Row]) -> tuple[dict[str, list[Row]], dict[str, list[Row]]]:
    """Planned but unfinished batches: those already written to bronze, and the others."""
    done = {row["batch_id"] for row in past if row["status"] in (INGESTED, WITHDRAWN)}
    batches: dict[str, list[Row]] = {}
    for row in sorted(past, key=lambda row: row["file"]):
        if row["status"] == PLANNED and row["batch_id"] not in done:
            batches.setdefault(row["batch_id"], []).append(row)
    written_batches = {b: rows for b, rows in batches.items() if ctx.tables.committed(bronze(source.name), b, b)}
    return written_batches, {b: rows for b, rows in batches.items() if b not in written_batches}


def _resumed(
    ctx: JobContext, source: Source, reports: list[tuple[SourceFile, FileReport]], unfinished: dict[str, list[Row]]
) -> tuple[list[Delivery], list[dict[str, Any]]]:
    """Unfinished batches whose files are unchanged, and status rows that withdraw the plans of the others."""
    valid = {(file.name, report.digest): file for file, report in reports if report.damage is None}
    resumed: list[Delivery] = []
    withdrawn: list[dict[str, Any]] = []
    for batch_id, rows in sorted(unfinished.items()):
        files = [valid.get((row["file"], row["file_sha256"])) for row in rows]
        if all(files):
            resumed.append(_delivery_of(source, rows, [file for file in files if file is not None]))
            continue
        changed = [row["file"] for row, file in zip(rows, files) if file is None]
        ctx.log.warning(
            "%s: unfinished batch %s withdrawn because files changed or were deleted: %s. Current files form a new batch",
            *(source.name, batch_id, ", ".join(changed[:3])),
        )
        plan = _delivery_of(source, rows)
        withdrawn += [
            status_row(ctx, f, d, batch_id, WITHDRAWN, CHANGED_SINCE if f.name in changed else None)
            for f, d in zip(plan.files, plan.digests)
        ]
    return resumed, withdrawn


def _delivery_of(source: Source, rows: list[Row], files: list[SourceFile] | None = None) -> Delivery:
    """Delivery of a planned batch; without `files` it has names and digests but no readable paths."""
    planned = [
        SourceFile(source.name, r["file"], "", r["num_bytes"], r["modified_at"], tuple(r["columns"] or ()))
        for r in rows
    ]
    return Delivery(source.name, tuple(files or planned), tuple(row["file_sha256"] for row in rows))


def _ingest(ctx: JobContext, source: Source, delivery: Delivery, known: frozenset[str]) -> list[dict[str, Any]]:
    """Append the delivery to bronze. `known`: columns of earlier deliveries of the source."""
    assert source.files is not None
    table = bronze(source.name)
    scratch, batch_id = Path(ctx.files_root) / "unpacked" / delivery.batch_id[:16], delivery.batch_id
    if not ctx.tables.committed(table, batch_id, batch_id):
        with paths_for_spark(ctx, delivery.files, source, scratch) as files:
            records, envelope = read_records(ctx.spark, source.files, files), _file_table(ctx, delivery, files)
            frame = with_envelope(records, envelope, run_id=ctx.run_id, arrived_at=ctx.started_at)
            # File digest, block and position number the records: their ids are unique by construction.
            ctx.tables.append(table, frame, batch_id=batch_id, digest=batch_id, is_unique=True)
    written = ctx.tables.read(table).where(F.col("_batch_id") == batch_id)
    by_digest = {row["_file_sha256"]: row for row in _counted(written, source.files).collect()}
    return [
        _ingested(ctx, file, digest, batch_id, by_digest.get(digest), known)
        for file, digest in zip(delivery.files, delivery.digests)
    ]


def _counted(written: DataFrame, how: Files) -> DataFrame:
    """Number of records and, for JSON, the non-null columns. Grain: file."""
    names = [n for n in written.columns if not n.startswith("_") and how.format in ("json", "jsonl")]
    filled = F.array(*(F.when(F.count(F.col(f"`{name}`")) > 0, F.lit(name)) for name in names)).cast("array<string>")
    return written.groupBy("_file_sha256").agg(
        F.count(F.lit(1)).alias("num_rows"), F.array_compact(filled).alias("columns")
    )


def _ingested(
    ctx: JobContext, file: SourceFile, digest: str, batch_id: str, counted: Row | None, known: frozenset[str]
) -> dict[str, Any]:
    columns = tuple(counted["columns"]) if counted is not None and counted["columns"] else file.columns
    fresh = sorted(set(columns) - known) if known else []
    if fresh:
        ctx.log.warning("%s: file %s has new columns (stored in bronze only): %s", file.source, file.name, fresh)
    status = status_row(ctx, file, digest, batch_id, INGESTED, "new_column" if fresh else None)
    return {**status, "columns": list(columns), "num_rows": counted["num_rows"] if counted is not None else 0}


def _file_table(ctx: JobContext, delivery: Delivery, files: dict[str, SourceFile]) -> DataFrame:
    digests = {file.name: digest for file, digest in zip(delivery.files, delivery.digests)}
    rows = [(normalised(path), f.name, digests[f.name], delivery.batch_id) for path, f in files.items()]
    return ctx.spark.createDataFrame(rows, "_path string, _file string, _file_sha256 string, _batch_id string")


def with_envelope(records: DataFrame, files: DataFrame, *, run_id: str, arrived_at: Any) -> DataFrame:
    """Add the bronze envelope. Grain: record. `_row_id`: 16 digits of the file digest, block, position."""
    row_id = F.concat_ws(":", F.substring("_file_sha256", 1, 16), F.col("_block"), F.col("_position"))
    return (
        records.join(F.broadcast(files), "_path", "left")
        .withColumn("_row_id", row_id)
        .withColumn("_arrived_at", F.lit(arrived_at).cast("timestamp"))
        .withColumn("_run_id", F.lit(run_id))
        .drop("_path")
    )


def _record(ctx: JobContext, status_rows: Iterable[dict[str, Any]], *, part: str) -> None:
    rows = [tuple(row[name] for name in DELIVERY.column_names) for row in status_rows]
    frame = ctx.spark.createDataFrame(rows, DELIVERY.schema)
    ctx.tables.merge(DELIVERY, frame, batch_id=ctx.batch_id(part), digest=part)


def _data_dir(cfg: IngestConfig) -> str:
    if cfg.data_dir is None:
        raise ConfigError("ingest.data_dir: not set. Set it to the folder with the source files.")
    return cfg.data_dir


STAGE = Stage("ingest", run, inputs=inputs, has_as_of=False)
