"""Ingest: what arrived goes to bronze verbatim, once.

The plan is written to ops.delivery before the first record is read: a run that dies is finished by the next one with the
same batches, also when more files have arrived in between.
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
from crm_spark.core.errors import ConfigError, InputError
from crm_spark.core.hashing import sha256_of
from crm_spark.core.stage import Stage
from crm_spark.sources.config import Files, Source, load_sources
from crm_spark.stages.ingest.config import IngestConfig
from crm_spark.stages.ingest.discovery import (
    ARCHIVE_SEPARATOR,
    Delivery,
    SourceFile,
    list_files,
    unseen,
)
from crm_spark.stages.ingest.file_stream import follow
from crm_spark.stages.ingest.file_validation import Examined, examine_files
from crm_spark.stages.ingest.jdbc import ingest_jdbc
from crm_spark.stages.ingest.reader import laid_out, normalised, one_file_per_task, read_records
from crm_spark.stages.ingest.staging import Stage_, staged

PLANNED, INGESTED, SKIPPED, REJECTED, WITHDRAWN = "planned", "ingested", "skipped", "rejected", "withdrawn"
UNSETTLED = (REJECTED, WITHDRAWN)
CHANGED_SINCE = "changed_since"


def inputs(ctx: JobContext) -> dict[str, Any]:
    """What decides whether there is anything to ingest: the listing of every source's files, and how they are read."""
    cfg: IngestConfig = ctx.settings.ingest
    found: dict[str, Any] = {}
    for source in load_sources(Path(cfg.sources_dir)):
        if source.jdbc is not None:
            found[source.name] = ["jdbc", ctx.run_id]  # a database does not say what is new without being asked
            continue
        listing = [
            (f.name, f.num_bytes, f.modified_at, f.blocked) for f in list_files(ctx.spark, source, _data_dir(cfg))
        ]
        found[source.name] = [listing, source.files.model_dump() if source.files else None]
    return found


def run(ctx: JobContext) -> StageResult:
    """Reads every new file of every source into bronze."""
    cfg: IngestConfig = ctx.settings.ingest
    num_before = 0
    if cfg.files_per_batch is not None and cfg.data_dir is not None and not ctx.is_dry_run:
        take = partial(_take_rows, ctx)
        num_before = follow(ctx, cfg.data_dir, take, files_per_batch=cfg.files_per_batch)
    result = _take(ctx)
    if not num_before:
        return result
    return replace(result, status="done", num_rows=num_before + result.num_rows)


def _take_rows(ctx: JobContext, paths: frozenset[str]) -> int:
    return _take(ctx, paths).num_rows


def _take(ctx: JobContext, paths: frozenset[str] | None = None) -> StageResult:
    """Reads what is new, of all there is or of these paths alone."""
    with staged(ctx) as bring:
        return _taken(ctx, paths, bring)


def _taken(ctx: JobContext, paths: frozenset[str] | None, bring: Stage_) -> StageResult:
    cfg: IngestConfig = ctx.settings.ingest
    sources = {source.name: source for source in load_sources(Path(cfg.sources_dir))}
    history = ctx.tables.read(DELIVERY).collect()
    num_rows = 0
    for source in sources.values():
        if source.jdbc is not None and paths is None:
            num_rows += ingest_jdbc(ctx, source, history)
    deliveries, verdicts = _plan(ctx, sources, history, paths, bring)
    if verdicts:
        _record(ctx, verdicts, part=f"plan:{sha256_of([v['batch_id'] for v in verdicts])[:16]}")
    if ctx.is_dry_run:
        for delivery in deliveries:
            ctx.log.info("would ingest %s: %d files", delivery.source, len(delivery.files))
        return StageResult(0, note="dry run")
    with one_file_per_task(ctx.spark):
        done = in_parallel(lambda d: _ingest(ctx, sources[d.source], d, columns_known(history, d.source)), deliveries)
    outcomes = [row for rows in done for row in rows]
    num_rows += sum(row["num_rows"] for row in outcomes)
    if outcomes:
        _record(ctx, outcomes, part=f"done:{sha256_of([o['batch_id'] for o in outcomes])[:16]}")
    if not outcomes and not verdicts and not num_rows and history:
        return StageResult(status=NO_NEW_INPUT, last_work_at=max(row["arrived_at"] for row in history))
    refused = [v for v in verdicts if v["status"] == REJECTED]
    note = f"{len(outcomes)} files" + (f", {len(refused)} refused" if refused else "")
    if paths is None and not history and not outcomes and not verdicts and not num_rows:
        raise InputError(
            f"No source has a file below {cfg.data_dir}. Check ingest.data_dir and the sources' files.path."
        )
    return StageResult(num_rows, note=note)


def columns_known(history: Iterable[Row], source: str) -> frozenset[str]:
    """The columns that any ingested file of the source carried."""
    past = (row for row in history if row["source"] == source and row["status"] == INGESTED)
    return frozenset(name for row in past for name in row["columns"] or ())


def _plan(
    ctx: JobContext, sources: dict[str, Source], history: list[Row], paths: frozenset[str] | None, bring: Stage_
) -> tuple[list[Delivery], list[dict[str, Any]]]:
    """What is to be read: batches that an earlier run began, and new files; plus the verdict on each file."""
    cfg: IngestConfig = ctx.settings.ingest
    deliveries: list[Delivery] = []
    begun: dict[str, dict[str, list[Row]]] = {}
    fresh: list[tuple[SourceFile, Source]] = []
    of_files = [
        (s, [row for row in history if row["source"] == s.name]) for s in sources.values() if s.files is not None
    ]
    for source, past in of_files:
        landed, begun[source.name] = _unfinished(ctx, source, past)
        deliveries.extend(_delivery_of(source, rows) for rows in landed.values())
        # What was refused is looked at again: its permissions or the source's configuration may have been mended. So is
        # what was begun: its bytes may be others by now.
        settled = [r for r in past if r["status"] not in UNSETTLED and r["batch_id"] not in begun[source.name]]
        wanted = {r["file"].split(ARCHIVE_SEPARATOR)[0] for rows in begun[source.name].values() for r in rows}
        files = unseen(
            list_files(ctx.spark, source, _data_dir(cfg)),
            ((r["file"], r["num_bytes"], r["modified_at"]) for r in settled),
        )
        asked = [f for f in files if paths is None or f.name in wanted or normalised(f.path) in paths]
        fresh.extend((file, source) for file in bring(asked))
    may_open = [(file, source.files) for file, source in fresh if file.blocked is None and source.files is not None]
    examined = {}
    if may_open:
        examined = examine_files(ctx.spark, may_open, max_unpacked_ratio=cfg.max_unpacked_ratio)
    verdicts: list[dict[str, Any]] = []
    for source, past in of_files:
        looked_at = [
            found
            for file, owner in fresh
            if owner.name == source.name
            for found in _members(file, examined.get((source.name, file.name)))
        ]
        resumed, withdrawn = _resumed(ctx, source, looked_at, begun[source.name])
        in_hand = {
            (file.name, digest) for delivery in resumed for file, digest in zip(delivery.files, delivery.digests)
        }
        looked_at = [(file, found) for file, found in looked_at if (file.name, found.digest) not in in_hand]
        given_up = {verdict["batch_id"] for verdict in withdrawn}
        delivery, said = _judged(ctx, source, looked_at, [row for row in past if row["batch_id"] not in given_up])
        deliveries.extend([*resumed, *delivery])
        verdicts.extend([*withdrawn, *said])
    return deliveries, verdicts


def _members(file: SourceFile, examined: list[Examined] | None) -> list[tuple[SourceFile, Examined]]:
    """The file, or the members of the archive, as they are to be read."""
    if examined is None:
        return [(file, Examined(file.name, sha256_of([file.name]), file.num_bytes, damage=file.blocked))]
    return [
        (
            replace(
                file,
                name=e.name,
                num_bytes=e.num_bytes,
                columns=e.columns,
                has_lone_surrogates=e.has_lone_surrogates,
            ),
            e,
        )
        for e in examined
    ]


def _judged(
    ctx: JobContext, source: Source, looked_at: list[tuple[SourceFile, Examined]], past: list[Row]
) -> tuple[list[Delivery], list[dict[str, Any]]]:
    """One delivery of all that is new and sound, and what is said of each file."""
    known = {row["file_sha256"] for row in past if row["status"] not in UNSETTLED}
    refused = {(row["file"], row["file_sha256"], row["reason"]) for row in past if row["status"] == REJECTED}
    fresh: list[tuple[SourceFile, str]] = []
    verdicts: list[dict[str, Any]] = []
    for file, examined in looked_at:
        digest, damage = examined.digest, examined.damage
        if damage is not None:
            if (file.name, digest, damage) not in refused:
                ctx.log.warning("%s: %s refused: %s", source.name, file.name, damage)
                verdicts.append(_verdict(ctx, file, digest, f"refused:{digest[:16]}", REJECTED, damage))
        elif digest in known:
            ctx.log.info("%s: %s has the bytes of a file known before; skipped", source.name, file.name)
            verdicts.append(_verdict(ctx, file, digest, f"skipped:{sha256_of(file.name)[:16]}", SKIPPED, "same_bytes"))
        else:
            known.add(digest)
            fresh.append((file, digest))
    if not fresh:
        return [], verdicts
    delivery = Delivery(source.name, tuple(f for f, _ in fresh), tuple(d for _, d in fresh))
    return [delivery], [*verdicts, *(_verdict(ctx, f, d, delivery.batch_id, PLANNED) for f, d in fresh)]


def _unfinished(ctx: JobContext, source: Source, past: list[Row]) -> tuple[dict[str, list[Row]], dict[str, list[Row]]]:
    """The batches that were planned and never finished: those that bronze has already, and those it has not."""
    done = {row["batch_id"] for row in past if row["status"] in (INGESTED, WITHDRAWN)}
    batches: dict[str, list[Row]] = {}
    for row in sorted(past, key=lambda row: row["file"]):
        if row["status"] == PLANNED and row["batch_id"] not in done:
            batches.setdefault(row["batch_id"], []).append(row)
    landed = {b: rows for b, rows in batches.items() if ctx.tables.committed(bronze(source.name), b, b)}
    return landed, {b: rows for b, rows in batches.items() if b not in landed}


def _resumed(
    ctx: JobContext, source: Source, looked_at: list[tuple[SourceFile, Examined]], begun: dict[str, list[Row]]
) -> tuple[list[Delivery], list[dict[str, Any]]]:
    """The begun batches whose files are as they were; of the others nothing is in the lake, and their plan is withdrawn."""
    sound = {(file.name, found.digest): file for file, found in looked_at if found.damage is None}
    resumed: list[Delivery] = []
    withdrawn: list[dict[str, Any]] = []
    for batch_id, rows in sorted(begun.items()):
        files = [sound.get((row["file"], row["file_sha256"])) for row in rows]
        if all(files):
            resumed.append(_delivery_of(source, rows, [file for file in files if file is not None]))
            continue
        gone = [row["file"] for row, file in zip(rows, files) if file is None]
        ctx.log.warning(
            "%s: batch %s was begun and %s changed or went since; what is there now is taken for itself",
            *(source.name, batch_id, ", ".join(gone[:3])),
        )
        plan = _delivery_of(source, rows)
        withdrawn += [
            _verdict(ctx, f, d, batch_id, WITHDRAWN, CHANGED_SINCE if f.name in gone else None)
            for f, d in zip(plan.files, plan.digests)
        ]
    return resumed, withdrawn


def _delivery_of(source: Source, rows: list[Row], files: list[SourceFile] | None = None) -> Delivery:
    """A batch as it was planned; without `files` it can be told from, and not read again."""
    planned = [
        SourceFile(source.name, r["file"], "", r["num_bytes"], r["modified_at"], tuple(r["columns"] or ()))
        for r in rows
    ]
    return Delivery(source.name, tuple(files or planned), tuple(row["file_sha256"] for row in rows))


def _ingest(ctx: JobContext, source: Source, delivery: Delivery, known: frozenset[str]) -> list[dict[str, Any]]:
    """Appends the delivery to bronze; `known` are the columns that earlier ones of this source brought."""
    assert source.files is not None
    table = bronze(source.name)
    scratch, batch_id = Path(ctx.files_root) / "unpacked" / delivery.batch_id[:16], delivery.batch_id
    if not ctx.tables.committed(table, batch_id, batch_id):
        with laid_out(delivery.files, source.files, scratch) as files:
            records, envelope = read_records(ctx.spark, source.files, files), _file_table(ctx, delivery, files)
            frame = with_envelope(records, envelope, run_id=ctx.run_id, arrived_at=ctx.started_at)
            ctx.tables.append(table, frame, batch_id=batch_id, digest=batch_id)
    written = ctx.tables.read(table).where(F.col("_batch_id") == batch_id)
    by_digest = {row["_file_sha256"]: row for row in _counted(written, source.files).collect()}
    return [
        _ingested(ctx, file, digest, batch_id, by_digest.get(digest), known)
        for file, digest in zip(delivery.files, delivery.digests)
    ]


def _counted(written: DataFrame, how: Files) -> DataFrame:
    """Grain: file. Its records and, of JSON, which columns any of them fills."""
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
        ctx.log.warning("%s: %s brings new columns, kept in bronze: %s", file.source, file.name, fresh)
    verdict = _verdict(ctx, file, digest, batch_id, INGESTED, "new_column" if fresh else None)
    return {**verdict, "columns": list(columns), "num_rows": counted["num_rows"] if counted is not None else 0}


def _file_table(ctx: JobContext, delivery: Delivery, files: dict[str, SourceFile]) -> DataFrame:
    digests = {file.name: digest for file, digest in zip(delivery.files, delivery.digests)}
    rows = [(normalised(path), f.name, digests[f.name], delivery.batch_id) for path, f in files.items()]
    return ctx.spark.createDataFrame(rows, "_path string, _file string, _file_sha256 string, _batch_id string")


def with_envelope(records: DataFrame, files: DataFrame, *, run_id: str, arrived_at: Any) -> DataFrame:
    """Grain: record. Its pointer: 16 digits of the file's digest, the block, the position."""
    row_id = F.concat_ws(":", F.substring("_file_sha256", 1, 16), F.col("_block"), F.col("_position"))
    return (
        records.join(F.broadcast(files), "_path", "left")
        .withColumn("_row_id", row_id)
        .withColumn("_arrived_at", F.lit(arrived_at).cast("timestamp"))
        .withColumn("_run_id", F.lit(run_id))
        .drop("_path")
    )


def _verdict(
    ctx: JobContext, file: SourceFile, digest: str, batch_id: str, status: str, reason: str | None = None
) -> dict[str, Any]:
    return {
        "source": file.source,
        "file": file.name,
        "file_sha256": digest,
        "num_bytes": file.num_bytes,
        "modified_at": file.modified_at,
        "num_rows": 0,
        "batch_id": batch_id,
        "status": status,
        "reason": reason,
        "columns": list(file.columns) or None,
        "watermark": None,
        "arrived_at": ctx.started_at,
    }


def _record(ctx: JobContext, verdicts: Iterable[dict[str, Any]], *, part: str) -> None:
    rows = [tuple(verdict[name] for name in DELIVERY.column_names) for verdict in verdicts]
    frame = ctx.spark.createDataFrame(rows, DELIVERY.schema)
    ctx.tables.merge(DELIVERY, frame, batch_id=ctx.batch_id(part), digest=part)


def _data_dir(cfg: IngestConfig) -> str:
    if cfg.data_dir is None:
        raise ConfigError("ingest.data_dir: missing; wanted the folder below which the sources' files lie.")
    return cfg.data_dir


STAGE = Stage("ingest", run, inputs=inputs, has_as_of=False)
