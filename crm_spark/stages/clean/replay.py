"""Replay: release quarantined rows that pass the current mappings and rules, each row exactly once.

Write order: silver, release log, then quarantine and reconciliation. All writes are idempotent (keyed by the released
rows and the rules), so the next run completes an interrupted one.
"""

import getpass
from collections import Counter
from functools import reduce

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import QUARANTINE, RECONCILIATION, RELEASE
from crm_spark.contracts.silver import ENTITIES, EVENT_TIMES
from crm_spark.core.context import JobContext, StageResult
from crm_spark.core.hashing import frame_digest, sha256_of
from crm_spark.core.scratch import scratch
from crm_spark.core.stage import Stage
from crm_spark.stages.clean.config import ReplayConfig
from crm_spark.stages.clean.decisions import BlockedDeliveries
from crm_spark.stages.clean.history import update_histories
from crm_spark.stages.clean.lines import needs_whole_file
from crm_spark.stages.clean.reconciliation import blocked_deliveries, breaches_of, findings_of, reconcile
from crm_spark.stages.clean.records import record_id
from crm_spark.stages.clean.superseded import record_superseded
from crm_spark.stages.clean.survivorship import with_kept_values
from crm_spark.stages.clean.validation import Validation

_BATCH = ["source", "entity", "batch_id"]


def must_run(ctx: JobContext) -> bool:
    """A replay always runs when requested."""
    return True


def run(ctx: JobContext) -> StageResult:
    """Validate quarantined rows again and release the valid ones."""
    cfg: ReplayConfig = ctx.settings.replay
    _apply_release_log(ctx)
    waiting = ctx.tables.read(QUARANTINE).where("status = 'quarantined'")
    if cfg.source is not None:
        waiting = waiting.where(F.col("source") == cfg.source)
    if cfg.entity is not None:
        waiting = waiting.where(F.col("entity") == cfg.entity)
    validation = Validation.of(ctx)
    groups = waiting.groupBy("entity").agg(F.collect_set("source").alias("sources")).collect()
    sources = {row["entity"]: _configured(validation, row["entity"], row["sources"]) for row in groups}
    records = {
        entity: _records(validation, entity, sources[entity], waiting) for entity in ENTITIES if sources.get(entity)
    }
    released: Counter[tuple[str, str]] = Counter()
    with scratch(ctx, "replay") as keep:
        mine = {entity: waiting.where(F.col("entity") == entity) for entity in records}
        rows = {
            entity: keep(
                validation.typed(entity, frames).join(mine[entity].select("row_id"), "row_id", "left_semi"), entity
            )
            for entity, frames in records.items()
        }
        for entity in rows:
            released += _replay(validation, entity, rows, mine[entity])
    verb = "would be released" if ctx.is_dry_run else "released"
    for (entity, reason), number in sorted(released.items()):
        ctx.log.info("replay %-18s %9d rows %s (%s)", entity, number, verb, reason)
    total = sum(released.values())
    return StageResult(0 if ctx.is_dry_run else total, note=f"{total} rows {verb}")


def _configured(validation: Validation, entity: str, sources: list[str]) -> list[str]:
    """Sources that still feed this entity."""
    removed = [
        name for name in sources if name not in validation.sources or entity not in validation.sources[name].feeds
    ]
    for name in removed:
        validation.ctx.log.warning("replay: source %s no longer feeds %s; its rows remain quarantined", name, entity)
    return sorted(set(sources) - set(removed))


def _records(validation: Validation, entity: str, sources: list[str], waiting: DataFrame) -> dict[str, DataFrame]:
    """Bronze records of the quarantined rows, by source; with all lines of their files where lines are combined."""
    mine = waiting.where(F.col("entity") == entity).select("source", record_id("row_id").alias("_row_id")).distinct()
    records = {}
    for name in sources:
        lines = validation.ctx.tables.read(bronze(name))
        records[name] = lines.join(mine.where(F.col("source") == name), "_row_id", "left_semi")
        if needs_whole_file(validation.sources[name], entity):
            files = records[name].select("_file_sha256").distinct()
            records[name] = lines.join(files, "_file_sha256", "left_semi")
    return records


def _replay(
    validation: Validation, entity: str, rows: dict[str, DataFrame], waiting: DataFrame
) -> Counter[tuple[str, str]]:
    """Release the valid rows of one entity; return the number of released rows by former reason codes."""
    ctx = validation.ctx
    # An interrupted replay may have written these rows.
    written = waiting.select("row_id", F.lit(True).alias("_is_own"))
    silver = ctx.tables.read(ENTITIES[entity]).join(written, "row_id", "left").fillna({"_is_own": False})
    silver = silver.withColumn("_record_id", record_id("row_id"))
    silver = silver.join(_delivered(validation, entity), "_record_id", "left").drop("_record_id")
    validated = validation.with_status(entity, rows, silver, _still_blocked(validation, entity, rows, silver))
    survivorship = validation.survivorship(entity)
    before = waiting.select(
        "row_id", F.col("reasons").alias("_before"), F.col("rules_version").alias("_version_before")
    )
    leaving = validated.where("_status <> 'quarantined'").join(before, "row_id").persist(StorageLevel.MEMORY_AND_DISK)
    reasons = leaving.groupBy(F.array_join("_before", ", ").alias("reasons")).count().collect()
    if reasons and not ctx.is_dry_run:
        accepted = leaving.where("_status = 'accepted'").select(*validated.columns)
        kept = accepted.unionByName(validated.where("_status = 'merged'"))
        _release(validation, entity, leaving, with_kept_values(kept, survivorship))
    return Counter({(entity, row["reasons"]): row["count"] for row in reasons})


def _delivered(validation: Validation, entity: str) -> DataFrame:
    """When and where the records of an entity were delivered. Grain: bronze record."""
    sources = [name for name, source in validation.sources.items() if entity in source.feeds]
    columns = (F.col("_row_id").alias("_record_id"), "_arrived_at", "_file", "_position")
    records = [validation.ctx.tables.read(bronze(name)).select(*columns) for name in sources]
    return reduce(DataFrame.unionByName, records)


def _still_blocked(
    validation: Validation, entity: str, rows: dict[str, DataFrame], silver: DataFrame
) -> BlockedDeliveries:
    """Fully quarantined deliveries that an expectation still blocks."""
    ctx, rules = validation.ctx, validation.validator.rules
    past = ctx.tables.read(RECONCILIATION).where(F.col("entity") == entity).collect()
    batches: dict[str, tuple[str, ...]] = {}
    for row in past:
        if row["num_in"] == row["num_quarantined"] > 0:
            batches[row["source"]] = (*batches.get(row["source"], ()), row["batch_id"])
    if not batches:
        return {}
    fully_quarantined = rows[entity].where(
        F.col("batch_id").isin(*(batch for ids in batches.values() for batch in ids))
    )
    validated = validation.with_status(entity, {**rows, entity: fully_quarantined}, silver)
    validated = validated.where("_status <> 'merged'").persist(StorageLevel.MEMORY_AND_DISK)
    limit = ctx.settings.clean.max_quarantined_fraction
    return blocked_deliveries(
        breaches_of(rules, limit, reconcile(entity, batches, validated, rules), findings_of(entity, validated), past)
    )


def _release(validation: Validation, entity: str, leaving: DataFrame, kept: DataFrame) -> None:
    """Write the rows that leave quarantine, and `kept` to silver: the accepted ones and rows that took values from them."""
    ctx, cfg, rules = validation.ctx, validation.ctx.settings.replay, validation.validator.rules
    mappings = {name: source.model_dump(mode="json") for name, source in validation.sources.items()}
    digest = sha256_of([entity, rules.version, mappings, frame_digest(leaving.select("row_id"))])
    release_id = f"replay:{digest[:24]}"
    contract = ENTITIES[entity]
    accepted = leaving.where("_status = 'accepted'").select(*contract.column_names)
    record_superseded(ctx, {entity: accepted}, batch_id=release_id, digest=digest)
    ctx.tables.merge(contract, kept.select(*contract.column_names), batch_id=release_id, digest=digest)
    versions = leaving.where("NOT _is_later_line").select(*contract.column_names, "_rank", "_status")
    update_histories(ctx, entity, versions, batch_id=release_id, digest=digest)
    columns = {
        "entity": F.lit(entity),
        "outcome": F.col("_status"),
        "duplicate_reason": F.col("_duplicate"),
        "reasons": F.col("_before"),
        "rules_version_before": F.col("_version_before"),
        "rules_version": F.lit(rules.version),
        "release_id": F.lit(release_id),
        "released_by": F.lit(cfg.by or getpass.getuser()),
        "run_id": F.lit(ctx.run_id),
        "released_at": F.lit(ctx.started_at).cast("timestamp"),
    }
    log = leaving.withColumns(columns).select(*RELEASE.column_names)
    ctx.tables.merge(RELEASE, log, batch_id=release_id, digest=digest, insert_only=True)
    _apply_release_log(ctx)


def _apply_release_log(ctx: JobContext) -> None:
    """Apply the release log to ops.quarantine and ops.reconciliation where that has not been done yet."""
    if ctx.is_dry_run or not ctx.tables.exists(RELEASE):
        return
    released = ctx.tables.read(RELEASE)
    for release_id, entity in released.select("release_id", "entity").distinct().collect():
        mine = released.where(F.col("release_id") == release_id)
        for contract, rows in (
            (QUARANTINE, _released_rows(ctx, mine)),
            (RECONCILIATION, _updated_counts(ctx, entity, mine)),
        ):
            ctx.tables.merge(contract, rows, batch_id=release_id, digest=release_id)


def _released_rows(ctx: JobContext, released: DataFrame) -> DataFrame:
    """Quarantine rows with their status after the release: `released` or `duplicate`."""
    outcome = released.select("row_id", "entity", "outcome", "duplicate_reason")
    rows = ctx.tables.read(QUARANTINE).join(outcome, ["row_id", "entity"])
    is_duplicate = F.col("outcome") == "duplicate"
    rows = rows.withColumn("reasons", F.when(is_duplicate, F.array("duplicate_reason")).otherwise(F.col("reasons")))
    status = F.when(is_duplicate, "duplicate").otherwise("released")
    return rows.withColumn("status", status).select(*QUARANTINE.column_names)


def _updated_counts(ctx: JobContext, entity: str, released: DataFrame) -> DataFrame:
    """Reconciliation rows of the deliveries from which rows were released."""
    moved = released.groupBy(*_BATCH).agg(
        F.count(F.when(F.col("outcome") == "accepted", 1)).alias("to_accepted"),
        F.count(F.when(F.col("outcome") == "duplicate", 1)).alias("to_duplicate"),
    )
    event = F.col(EVENT_TIMES[entity]) if entity in EVENT_TIMES else F.lit(None).cast("timestamp")
    silver = ctx.tables.read(ENTITIES[entity]).groupBy("source", "batch_id").agg(F.max(event).alias("newest"))
    rows = ctx.tables.read(RECONCILIATION).join(moved, _BATCH).join(silver, ["source", "batch_id"], "left")
    changed = {
        "last_event_at": F.greatest("last_event_at", "newest"),
        "num_accepted": F.col("num_accepted") + F.col("to_accepted"),
        "num_duplicate": F.col("num_duplicate") + F.col("to_duplicate"),
        "num_quarantined": F.col("num_quarantined") - F.col("to_accepted") - F.col("to_duplicate"),
    }
    return rows.withColumns(changed).select(*RECONCILIATION.column_names)


STAGE = Stage("replay", run, must_run=must_run, has_as_of=False)
