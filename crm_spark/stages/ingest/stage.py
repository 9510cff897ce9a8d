"""Ingest: what arrived goes to bronze verbatim, once.

The plan is written to ops.delivery before the first record is read: a run that dies is finished by the next one with the
same batches, also when more files have arrived in between.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import DELIVERY
from crm_spark.contracts.source import Source, load_sources
from crm_spark.core.context import JobContext, StageResult, in_parallel
from crm_spark.core.errors import ConfigError, InputError
from crm_spark.core.hashing import sha256_of
from crm_spark.stages.ingest.config import IngestConfig
from crm_spark.stages.ingest.discovery import Delivery, SourceFile, file_system, list_files, sha256_of_file, unseen
from crm_spark.stages.ingest.jdbc import ingest_jdbc
from crm_spark.stages.ingest.reading import header_of, normalised, one_file_per_task, read_records

PLANNED, INGESTED, SKIPPED, REFUSED = "planned", "ingested", "skipped", "refused"


def inputs(ctx: JobContext) -> dict[str, Any]:
    """What decides whether there is anything to ingest: the listing of every source's files, and how they are read."""
    cfg: IngestConfig = ctx.settings.ingest
    found: dict[str, Any] = {}
    for source in load_sources(Path(cfg.sources_dir)):
        if source.jdbc is not None:
            found[source.name] = ["jdbc", ctx.run_id]  # a database does not say what is new without being asked
            continue
        listing = [(f.name, f.num_bytes, f.modified_at) for f in list_files(source, _data_dir(cfg))]
        found[source.name] = [listing, source.files.model_dump() if source.files else None]
    return found


def run(ctx: JobContext) -> StageResult:
    """Reads every new file of every source into bronze."""
    cfg: IngestConfig = ctx.settings.ingest
    sources = {source.name: source for source in load_sources(Path(cfg.sources_dir))}
    history = ctx.tables.read(DELIVERY).collect()
    num_rows = 0
    for source in sources.values():
        if source.jdbc is not None:
            num_rows += ingest_jdbc(ctx, source, history)
    deliveries, verdicts = _plan(ctx, sources, history)
    if verdicts:
        _record(ctx, verdicts, part=f"plan:{sha256_of([v['batch_id'] for v in verdicts])[:16]}")
    if ctx.is_dry_run:
        for delivery in deliveries:
            ctx.log.info("would ingest %s: %d files", delivery.source, len(delivery.files))
        return StageResult(0, note="dry run")
    with one_file_per_task(ctx.spark):
        done = in_parallel(lambda delivery: _ingest(ctx, sources[delivery.source], delivery), deliveries)
    outcomes = [row for rows in done for row in rows]
    num_rows += sum(row["num_rows"] for row in outcomes)
    if outcomes:
        _record(ctx, outcomes, part=f"done:{sha256_of([o['batch_id'] for o in outcomes])[:16]}")
    if not outcomes and not verdicts and not num_rows and history:
        return StageResult(status="nothing")
    refused = [v for v in verdicts if v["fate"] == REFUSED]
    note = f"{len(outcomes)} files" + (f", {len(refused)} refused" if refused else "")
    if not history and not outcomes and not num_rows:
        raise InputError(
            f"No source has a file below {cfg.data_dir}. Check ingest.data_dir and the sources' files.path."
        )
    return StageResult(num_rows, note=note)


def _plan(
    ctx: JobContext, sources: dict[str, Source], history: list[Row]
) -> tuple[list[Delivery], list[dict[str, Any]]]:
    """What is to be read: batches that an earlier run began, and new files; plus the verdict on each file."""
    deliveries: list[Delivery] = []
    verdicts: list[dict[str, Any]] = []
    for source in (s for s in sources.values() if s.files is not None):
        past = [row for row in history if row["source"] == source.name]
        system, _ = file_system(_data_dir(ctx.settings.ingest))
        files = list_files(source, _data_dir(ctx.settings.ingest))
        deliveries.extend(_unfinished(source, files, past))
        known = {row["file_sha256"] for row in past}
        fresh: list[tuple[SourceFile, str]] = []
        for file in unseen(files, ((r["file"], r["num_bytes"], r["modified_at"]) for r in past)):
            digest = sha256_of_file(system, file.path)
            reason = None if digest in known else _refusal(ctx, source, file)
            if digest in known:
                ctx.log.info("%s: %s has the bytes of a file known before; skipped", source.name, file.name)
                verdicts.append(
                    _verdict(ctx, file, digest, f"skipped:{sha256_of(file.name)[:16]}", SKIPPED, "same_bytes")
                )
            elif reason:
                verdicts.append(_verdict(ctx, file, digest, f"refused:{digest[:16]}", REFUSED, reason))
            else:
                known.add(digest)
                fresh.append((file, digest))
        if fresh:
            delivery = Delivery(source.name, tuple(f for f, _ in fresh), tuple(d for _, d in fresh))
            deliveries.append(delivery)
            verdicts.extend(_verdict(ctx, f, d, delivery.batch_id, PLANNED) for f, d in fresh)
    return deliveries, verdicts


def _refusal(ctx: JobContext, source: Source, file: SourceFile) -> str | None:
    system, _ = file_system(_data_dir(ctx.settings.ingest))
    try:
        header_of(source, file.path, system)
    except InputError as error:
        ctx.log.warning("refused: %s", error)
        return "unreadable_file"
    return None


def _unfinished(source: Source, files: list[SourceFile], past: list[Row]) -> list[Delivery]:
    """The batches that were planned and never finished, with their files as they were then."""
    done = {row["batch_id"] for row in past if row["fate"] == INGESTED}
    by_name = {(file.name, file.num_bytes, file.modified_at): file for file in files}
    batches: dict[str, list[Row]] = {}
    for row in past:
        if row["fate"] == PLANNED and row["batch_id"] not in done:
            batches.setdefault(row["batch_id"], []).append(row)
    result = []
    for batch_id, rows in sorted(batches.items()):
        rows.sort(key=lambda row: row["file"])
        missing = [r["file"] for r in rows if (r["file"], r["num_bytes"], r["modified_at"]) not in by_name]
        if missing:
            raise InputError(
                f"{source.name}: batch {batch_id} was begun and its files changed or went since: {missing[:3]}. Put them back."
            )
        matched = tuple(by_name[(r["file"], r["num_bytes"], r["modified_at"])] for r in rows)
        result.append(Delivery(source.name, matched, tuple(r["file_sha256"] for r in rows)))
    return result


def _ingest(ctx: JobContext, source: Source, delivery: Delivery) -> list[dict[str, Any]]:
    table = bronze(source.name)
    system, _ = file_system(_data_dir(ctx.settings.ingest))
    records = read_records(ctx.spark, source, [f.path for f in delivery.files], system)
    frame = with_envelope(records, _file_table(ctx, delivery), run_id=ctx.run_id, arrived_at=ctx.started_at)
    ctx.tables.append(table, frame, batch_id=delivery.batch_id, digest=delivery.batch_id)
    counts = (
        ctx.tables.read(table).where(F.col("_batch_id") == delivery.batch_id).groupBy("_file_sha256").count().collect()
    )
    by_digest = {row["_file_sha256"]: row["count"] for row in counts}
    return [
        {**_verdict(ctx, f, d, delivery.batch_id, INGESTED), "num_rows": by_digest.get(d, 0)}
        for f, d in zip(delivery.files, delivery.digests)
    ]


def _file_table(ctx: JobContext, delivery: Delivery) -> DataFrame:
    rows = [(normalised(f.path), f.name, d, delivery.batch_id) for f, d in zip(delivery.files, delivery.digests)]
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
    ctx: JobContext, file: SourceFile, digest: str, batch_id: str, fate: str, reason: str | None = None
) -> dict[str, Any]:
    return {
        "source": file.source,
        "file": file.name,
        "file_sha256": digest,
        "num_bytes": file.num_bytes,
        "modified_at": file.modified_at,
        "num_rows": 0,
        "batch_id": batch_id,
        "fate": fate,
        "reason": reason,
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
