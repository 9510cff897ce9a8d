"""Clean stage: bronze -> silver + quarantine. Rows in = accepted + quarantined + duplicates, for every delivery."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from crm_spark.contracts.ops import DELIVERY, FINDING, QUARANTINE, RECONCILIATION
from crm_spark.contracts.silver import ENTITIES
from crm_spark.core.context import JobContext, StageResult, in_parallel
from crm_spark.core.hashing import sha256_of
from crm_spark.core.scratch import Keep, scratch
from crm_spark.core.session import fitted_to
from crm_spark.core.stage import Stage
from crm_spark.quality.rules import load_rules
from crm_spark.sources.config import Source, load_sources
from crm_spark.stages.clean.counts_log import log_reconciliation, log_references, log_warnings
from crm_spark.stages.clean.decisions import BlockedDeliveries
from crm_spark.stages.clean.history import update_histories
from crm_spark.stages.clean.reconciliation import (
    READING_VERSION,
    blocked_deliveries,
    breaches_of,
    findings_of,
    reconcile,
)
from crm_spark.stages.clean.standardise import load_standards
from crm_spark.stages.clean.superseded import record_superseded
from crm_spark.stages.clean.survivorship import with_kept_values
from crm_spark.stages.clean.validation import Validation


@dataclass(frozen=True)
class Pending:
    """Deliveries of one entity that have not been cleaned yet: source -> batch ids."""

    entity: str
    batches: dict[str, tuple[str, ...]]

    @property
    def batch_ids(self) -> list[str]:
        """Batch ids of all sources."""
        return sorted(batch for batches in self.batches.values() for batch in batches)

    @property
    def digest(self) -> str:
        """Digest of the entity and its batch ids."""
        return sha256_of([self.entity, {source: sorted(b) for source, b in self.batches.items()}])


@dataclass(frozen=True)
class Validated:
    """Rows of pending deliveries with their row status, rows for silver, reconciliation counts and findings."""

    work: Pending
    rows: DataFrame
    kept: DataFrame
    statuses: list[dict[str, Any]]
    findings: list[dict[str, Any]]


def inputs(ctx: JobContext) -> dict[str, Any]:
    """Inputs of the stage: deliveries, source mappings, rules and standards."""
    sources = load_sources(Path(ctx.settings.ingest.sources_dir))
    return {
        "delivery": ctx.tables.version(DELIVERY),
        "sources": {s.name: s.model_dump(mode="json") for s in sources},
        "rules": load_rules(ctx.settings.clean.rules_dir, ctx.settings.clean.more_rules_dir).version,
        "standards": load_standards(ctx.settings.clean).version,
    }


def run(ctx: JobContext) -> StageResult:
    """Clean every pending delivery; a delivery that violates a blocking expectation is quarantined as a whole."""
    validation, past = Validation.of(ctx), ctx.tables.read(RECONCILIATION).collect()
    _warn_waiting(ctx, validation)
    pending = pending_work(validation.sources, validation.deliveries, past)
    if not pending:
        return StageResult(
            note="no new deliveries. Changed mappings and rules apply to future deliveries; run jobs/replay.py to apply "
            "them to quarantined rows"
        )
    _warn_earlier_readings(ctx, past)
    for work in pending:
        validation.warn_missing_columns(work.entity, work.batches)
    batches = {batch for work in pending for batch in work.batch_ids}
    num_rows = sum(row["num_rows"] for row in validation.deliveries if row["batch_id"] in batches)
    with fitted_to(ctx.spark, num_rows, compile_from_rows=ctx.settings.clean.compile_from_rows):
        return _clean(validation, pending, past)


def _warn_waiting(ctx: JobContext, validation: Validation) -> None:
    """Log which sources wait for one in which they look up values."""
    delivered = {row["source"] for row in validation.deliveries if row["status"] == "ingested"}
    for name in sorted(delivered):
        source = validation.sources.get(name)
        if source is not None and (missing := sorted(source.lookups - delivered)):
            ctx.log.warning(
                "%s: its records wait for the first delivery of %s, in which they look up values",
                name,
                ", ".join(missing),
            )


def _clean(validation: Validation, pending: list[Pending], past: list[Row]) -> StageResult:
    ctx = validation.ctx
    with scratch(ctx, "clean") as keep:
        typed = in_parallel(lambda work: _typed(validation, work, keep), pending)
        rows = {work.entity: frame for work, frame in zip(pending, typed, strict=True)}
        validated = _validate(validation, pending, rows, keep)
        limit, rules = ctx.settings.clean.max_quarantined_fraction, validation.validator.rules
        statuses, findings = _combined(validated)
        breaches = breaches_of(rules, limit, statuses, findings, past)
        blocked = blocked_deliveries(breaches)
        if blocked:
            # Validate again without them: a blocked row must not supersede a row of another delivery.
            validated = _validate(validation, pending, rows, keep, blocked)
            statuses, findings = _combined(validated)
        _record_superseded(ctx, validated)
        in_parallel(lambda part: _to_silver(ctx, part), validated)
        warnings = [row for row in breaches if row["severity"] == "warn"]
        _write_reconciliation(ctx, validated, statuses, [*findings, *warnings], rules.version)
    log_reconciliation(ctx, statuses, findings)
    log_references(ctx, rules, statuses, findings)
    log_warnings(ctx, warnings)
    num_quarantined = sum(row["num_quarantined"] for row in statuses)
    return StageResult(
        sum(row["num_accepted"] for row in statuses),
        note=f"{num_quarantined} quarantined",
        blocked=_blocked_message(blocked),
    )


def _warn_earlier_readings(ctx: JobContext, past: list[Row]) -> None:
    """Log how many deliveries were read by an earlier version, whose values differ from what this one would read."""
    earlier = {(row["source"], row["batch_id"]) for row in past if (row["reading_version"] or 1) < READING_VERSION}
    if earlier:
        ctx.log.warning(
            "clean: %d deliveries of %s were read by an earlier version and keep its values (times with a zone, ids from "
            "spreadsheets, amounts, merged records). docs/operator.md, Upgrade, says what differs and how to read them again",
            len(earlier),
            ", ".join(sorted({source for source, _ in earlier})),
        )


def _typed(validation: Validation, work: Pending, keep: Keep) -> DataFrame:
    """Typed rows; materialised only if another entity references them, since they are otherwise read once."""
    typed = validation.typed(work.entity, validation.records(work.batches))
    return keep(typed, work.entity) if work.entity in validation.validator.rules.referenced_entities else typed


def _validate(
    validation: Validation,
    pending: list[Pending],
    rows: dict[str, DataFrame],
    keep: Keep,
    blocked: BlockedDeliveries | None = None,
) -> list[Validated]:
    def validate(work: Pending) -> Validated:
        is_own = F.col("batch_id").isin(*work.batch_ids)
        silver = validation.ctx.tables.read(ENTITIES[work.entity]).withColumn("_is_own", is_own)
        kept = keep(validation.with_status(work.entity, rows, silver, blocked), f"{work.entity}_validated")
        validated = kept.where("_status <> 'merged'")
        to_silver = kept.where("_status IN ('accepted', 'merged')")
        return Validated(
            work,
            validated,
            with_kept_values(to_silver, validation.survivorship(work.entity)),
            reconcile(work.entity, work.batches, validated, validation.validator.rules),
            [*findings_of(work.entity, validated), *validation.left_out(work.entity, work.batches)],
        )

    return in_parallel(validate, pending)


def _combined(validated: list[Validated]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return [row for part in validated for row in part.statuses], [row for part in validated for row in part.findings]


def _blocked_message(blocked: dict[tuple[str, str, str], str]) -> str:
    if not blocked:
        return ""
    parts = [
        f"{source} -> {entity}: batch {batch} is blocked ({code})" for (source, entity, batch), code in blocked.items()
    ]
    return (
        f"{'; '.join(parts)}. Their rows are quarantined and were not written to silver. Check ops.finding, fix the source "
        "mapping or the rule, then run jobs/replay.py."
    )


def _record_superseded(ctx: JobContext, validated: list[Validated]) -> None:
    digest = sha256_of(sorted(part.work.digest for part in validated))
    accepted = {part.work.entity: part.rows.where("_status = 'accepted'") for part in validated}
    record_superseded(ctx, accepted, batch_id=f"clean:{digest[:24]}", digest=digest)


def _to_silver(ctx: JobContext, part: Validated) -> None:
    contract, digest = ENTITIES[part.work.entity], part.work.digest
    kept = part.kept.select(*contract.column_names)
    batch_id = f"clean:{digest[:24]}"
    ctx.tables.merge(contract, kept, batch_id=batch_id, digest=digest, is_stable=True, is_unique=True)
    valid = part.rows.where("_status <> 'quarantined' AND NOT _is_later_line")
    versions = valid.select(*contract.column_names, "_rank", "_status")
    update_histories(ctx, part.work.entity, versions, batch_id=batch_id, digest=digest)


def pending_work(sources: Mapping[str, Source], deliveries: list[Row], statuses: list[Row]) -> list[Pending]:
    """Ingested batches without a row in ops.reconciliation, by entity; not those that wait for a source of their lookups."""
    ingested = {(row["source"], row["batch_id"]) for row in deliveries if row["status"] == "ingested"}
    delivered = {source for source, _ in ingested}
    done = {(row["source"], row["entity"], row["batch_id"]) for row in statuses}
    work = []
    for entity in ENTITIES:
        batches = {
            name: tuple(sorted(b for owner, b in ingested if owner == name and (name, entity, b) not in done))
            for name, source in sources.items()
            if entity in source.feeds and source.lookups <= delivered
        }
        batches = {name: ids for name, ids in batches.items() if ids}
        if batches:
            work.append(Pending(entity, batches))
    return work


def _write_reconciliation(
    ctx: JobContext,
    validated: list[Validated],
    statuses: list[dict[str, Any]],
    findings: list[dict[str, Any]],
    rules_version: str,
) -> None:
    """Write quarantine, findings and reconciliation, in this order: the reconciliation rows mark a batch as done."""
    digest = sha256_of(sorted(part.work.digest for part in validated))
    batch_id = f"clean:{digest[:24]}"
    quarantined = reduce(
        DataFrame.unionByName, [_quarantined(part.work.entity, part.rows, rules_version) for part in validated]
    )
    ctx.tables.merge(
        QUARANTINE, quarantined, batch_id=batch_id, digest=digest, insert_only=True, is_stable=True, is_unique=True
    )
    versions = {"rules_version": rules_version, "reading_version": READING_VERSION}
    for contract, rows in ((FINDING, findings), (RECONCILIATION, statuses)):
        filled = [tuple({**versions, **row}[n] for n in contract.column_names) for row in rows]
        frame = ctx.spark.createDataFrame(filled, contract.schema)
        ctx.tables.merge(contract, frame, batch_id=batch_id, digest=digest)


def _quarantined(entity: str, rows: DataFrame, rules_version: str) -> DataFrame:
    """Rows for ops.quarantine. Grain: row_id x entity. `same_key` duplicates are counted in ops.reconciliation only."""
    listed = rows.where((F.col("_status") != "accepted") & (F.coalesce("_duplicate", F.lit("")) != "same_key"))
    reasons = F.when(F.size("_reasons") > 0, F.col("_reasons")).otherwise(F.array("_duplicate"))
    return listed.select(
        "row_id",
        "source",
        F.lit(entity).alias("entity"),
        "batch_id",
        F.col("_file").alias("file"),
        F.col("_position").alias("position"),
        F.col("_status").alias("status"),
        reasons.alias("reasons"),
        F.lit(rules_version).alias("rules_version"),
    )


STAGE = Stage("clean", run, inputs=inputs, has_as_of=False)
