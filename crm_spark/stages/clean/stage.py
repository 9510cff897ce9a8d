"""Clean: bronze -> silver + quarantine. Rows in = accepted + quarantined + declared duplicates, for every delivery."""

from collections import Counter
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
from crm_spark.quality.rules import load_rules
from crm_spark.sources.config import Source, load_sources
from crm_spark.stages.clean.conform import BLOCK, NULLED, WARN
from crm_spark.stages.clean.conform import QUARANTINE as QUARANTINED
from crm_spark.stages.clean.decisions import Held
from crm_spark.stages.clean.history import update_histories
from crm_spark.stages.clean.reconciliation import breaches_of, findings_of, held_by, reconcile
from crm_spark.stages.clean.standardise import load_standards
from crm_spark.stages.clean.superseded import declare_superseded
from crm_spark.stages.clean.validation import Validation

_FOLLOWS = {NULLED: "cells read as empty", WARN: "noted", QUARANTINED: "set aside", BLOCK: "held back"}


@dataclass(frozen=True)
class Pending:
    """Deliveries of one entity that have not been cleaned: source -> batch ids."""

    entity: str
    batches: dict[str, tuple[str, ...]]

    @property
    def batch_ids(self) -> list[str]:
        """Of all sources."""
        return sorted(batch for batches in self.batches.values() for batch in batches)

    @property
    def digest(self) -> str:
        """The same deliveries give the same digest."""
        return sha256_of([self.entity, {source: sorted(b) for source, b in self.batches.items()}])


@dataclass(frozen=True)
class Validated:
    """The rows of pending deliveries with their statuses, and what is said of them in sum."""

    work: Pending
    rows: DataFrame
    statuses: list[dict[str, Any]]
    findings: list[dict[str, Any]]


def inputs(ctx: JobContext) -> dict[str, Any]:
    """The deliveries, the sources' mappings and the rules."""
    sources = load_sources(Path(ctx.settings.ingest.sources_dir))
    return {
        "delivery": ctx.tables.version(DELIVERY),
        "sources": {s.name: s.model_dump(mode="json") for s in sources},
        "rules": load_rules(ctx.settings.clean.rules_dir, ctx.settings.clean.more_rules_dir).version,
        "standards": load_standards(ctx.settings.clean).version,
    }


def run(ctx: JobContext) -> StageResult:
    """Cleans every delivery that has not been cleaned; one that an expectation stops is set aside whole."""
    validation, past = Validation.of(ctx), ctx.tables.read(RECONCILIATION).collect()
    pending = pending_work(validation.sources, validation.deliveries, past)
    if not pending:
        return StageResult(
            note="nothing new; another mapping or rule holds from now on, and jobs/replay.py lets out what was set aside"
        )
    for work in pending:
        validation.say_what_is_lacking(work.entity, work.batches)
    with scratch(ctx, "clean") as keep:
        typed = in_parallel(lambda work: _typed(validation, work, keep), pending)
        rows = {work.entity: frame for work, frame in zip(pending, typed, strict=True)}
        judged = _judge(validation, pending, rows, keep)
        limit, rules = ctx.settings.clean.max_quarantined_fraction, validation.judge.rules
        statuses, findings = _together(judged)
        breaches = breaches_of(rules, limit, statuses, findings, past)
        held = held_by(breaches)
        if held:
            # Validated again without them: a row that is held back must not stand for its key before another delivery's.
            judged = _judge(validation, pending, rows, keep, held)
            statuses, findings = _together(judged)
        _declare_superseded(ctx, judged)
        in_parallel(lambda part: _to_silver(ctx, part), judged)
        warnings = [row for row in breaches if row["severity"] == "warn"]
        _write_accounts(ctx, judged, statuses, [*findings, *warnings], rules.version)
    _say_what_became(ctx, statuses, findings)
    num_quarantined = sum(row["num_quarantined"] for row in statuses)
    return StageResult(
        sum(row["num_accepted"] for row in statuses), note=f"{num_quarantined} quarantined", blocked=_said(held)
    )


def _typed(validation: Validation, work: Pending, keep: Keep) -> DataFrame:
    """Set down only where rows of another entity refer to it: else it is read once, when it is judged."""
    typed = validation.typed(work.entity, validation.records(work.batches))
    return keep(typed, work.entity) if work.entity in validation.judge.rules.referenced_entities else typed


def _judge(
    validation: Validation, pending: list[Pending], rows: dict[str, DataFrame], keep: Keep, held: Held | None = None
) -> list[Validated]:
    def judge(work: Pending) -> Validated:
        silver = validation.ctx.tables.read(ENTITIES[work.entity]).where(~F.col("batch_id").isin(*work.batch_ids))
        judged = keep(validation.with_status(work.entity, rows, silver, held), f"{work.entity}_judged")
        return Validated(
            work,
            judged,
            reconcile(work.entity, work.batches, judged, validation.judge.rules),
            findings_of(work.entity, judged),
        )

    return in_parallel(judge, pending)


def _together(judged: list[Validated]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return [row for part in judged for row in part.statuses], [row for part in judged for row in part.findings]


def _said(held: dict[tuple[str, str, str], str]) -> str:
    if not held:
        return ""
    parts = [
        f"{source} -> {entity}: batch {batch} is held back ({code})" for (source, entity, batch), code in held.items()
    ]
    return (
        f"{'; '.join(parts)}. Silver is as it was for them. Look at ops.finding, mend the source's mapping or the rule, "
        "then run jobs/replay.py."
    )


def _declare_superseded(ctx: JobContext, judged: list[Validated]) -> None:
    digest = sha256_of(sorted(part.work.digest for part in judged))
    accepted = {part.work.entity: part.rows.where("_status = 'accepted'") for part in judged}
    declare_superseded(ctx, accepted, batch_id=f"clean:{digest[:24]}", digest=digest)


def _to_silver(ctx: JobContext, part: Validated) -> None:
    contract, digest = ENTITIES[part.work.entity], part.work.digest
    accepted = part.rows.where("_status = 'accepted'").select(*contract.column_names)
    batch_id = f"clean:{digest[:24]}"
    ctx.tables.merge(contract, accepted, batch_id=batch_id, digest=digest, is_settled=True)
    sound = part.rows.where("_status <> 'quarantined'").select(*contract.column_names, "_rank")
    update_histories(ctx, part.work.entity, sound, batch_id=batch_id, digest=digest)


def pending_work(sources: Mapping[str, Source], deliveries: list[Row], statuses: list[Row]) -> list[Pending]:
    """For each entity, the ingested batches whose status is not recorded."""
    ingested = {(row["source"], row["batch_id"]) for row in deliveries if row["status"] == "ingested"}
    done = {(row["source"], row["entity"], row["batch_id"]) for row in statuses}
    work = []
    for entity in ENTITIES:
        batches = {
            name: tuple(sorted(b for owner, b in ingested if owner == name and (name, entity, b) not in done))
            for name, source in sources.items()
            if entity in source.feeds
        }
        batches = {name: ids for name, ids in batches.items() if ids}
        if batches:
            work.append(Pending(entity, batches))
    return work


def _write_accounts(
    ctx: JobContext,
    judged: list[Validated],
    statuses: list[dict[str, Any]],
    findings: list[dict[str, Any]],
    rules_version: str,
) -> None:
    """Quarantine first, then the conservation rows that end the work: a run that dies between them repeats both."""
    digest = sha256_of(sorted(part.work.digest for part in judged))
    batch_id = f"clean:{digest[:24]}"
    quarantined = reduce(
        DataFrame.unionByName, [_quarantined(part.work.entity, part.rows, rules_version) for part in judged]
    )
    ctx.tables.merge(QUARANTINE, quarantined, batch_id=batch_id, digest=digest, insert_only=True, is_settled=True)
    for contract, rows in ((FINDING, findings), (RECONCILIATION, statuses)):
        filled = [tuple({"rules_version": rules_version, **row}[n] for n in contract.column_names) for row in rows]
        frame = ctx.spark.createDataFrame(filled, contract.schema)
        ctx.tables.merge(contract, frame, batch_id=batch_id, digest=digest)


def _say_what_became(ctx: JobContext, statuses: list[dict[str, Any]], findings: list[dict[str, Any]]) -> None:
    """A line for each entity, and below it one for all that was found of a kind."""
    sums: dict[str, Counter[str]] = {}
    for row in statuses:
        totals = sums.setdefault(row["entity"], Counter())
        totals.update(
            {status: row[status] for status in ("num_in", "num_accepted", "num_quarantined", "num_duplicate")}
        )
    found: Counter[tuple[str, str, str, str]] = Counter()
    for row in findings:
        found[(row["entity"], row["severity"], row["code"], row["column"])] += row["num_rows"]
    for entity, totals in sorted(sums.items()):
        ctx.log.info("clean %-18s %9d in = %d to silver + %d set aside + %d repeats", entity, *totals.values())
        for (of, severity, code, column), num_rows in sorted(found.items()):
            if of == entity:
                ctx.log.info("clean %-18s %9d %s: %s (%s)", entity, num_rows, _FOLLOWS[severity], code, column)


def _quarantined(entity: str, rows: DataFrame, rules_version: str) -> DataFrame:
    """Grain: row_id x entity. Rows folded into their key are counted and not listed: nothing of them is lost."""
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
