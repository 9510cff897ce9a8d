"""Clean: bronze -> silver + quarantine. Rows in = accepted + quarantined + declared duplicates, for every delivery."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from crm_spark.contracts.ops import BATCH_FATE, DELIVERY, FINDING, QUARANTINE
from crm_spark.contracts.silver import NOUNS
from crm_spark.contracts.source import Source, load_sources
from crm_spark.core.context import JobContext, StageResult, in_parallel
from crm_spark.core.hashing import sha256_of
from crm_spark.core.scratch import Keep, scratch
from crm_spark.quality.rules import load_rules
from crm_spark.stages.clean.accounts import breaches_of, fates_of, findings_of, held_by
from crm_spark.stages.clean.conform import NULLED, STOP, WARN
from crm_spark.stages.clean.conform import QUARANTINE as QUARANTINED
from crm_spark.stages.clean.history import update_histories
from crm_spark.stages.clean.judging import Judging
from crm_spark.stages.clean.standardise import load_standards
from crm_spark.stages.clean.superseded import declare_superseded
from crm_spark.stages.clean.verdicts import Held

_FOLLOWS = {NULLED: "cells read as empty", WARN: "noted", QUARANTINED: "set aside", STOP: "held back"}


@dataclass(frozen=True)
class Pending:
    """Deliveries of one noun that have not been cleaned: source -> batch ids."""

    noun: str
    batches: dict[str, tuple[str, ...]]

    @property
    def batch_ids(self) -> list[str]:
        """Of all sources."""
        return sorted(batch for batches in self.batches.values() for batch in batches)

    @property
    def digest(self) -> str:
        """The same deliveries give the same digest."""
        return sha256_of([self.noun, {source: sorted(b) for source, b in self.batches.items()}])


@dataclass(frozen=True)
class Judged:
    """The rows of pending deliveries with their fates, and what is said of them in sum."""

    work: Pending
    rows: DataFrame
    fates: list[dict[str, Any]]
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
    judging, past = Judging.of(ctx), ctx.tables.read(BATCH_FATE).collect()
    pending = pending_work(judging.sources, judging.deliveries, past)
    if not pending:
        return StageResult(
            note="nothing new; another mapping or rule holds from now on, and jobs/replay.py lets out what was set aside"
        )
    for work in pending:
        judging.say_what_is_lacking(work.noun, work.batches)
    with scratch(ctx, "clean") as keep:
        typed = in_parallel(lambda work: _typed(judging, work, keep), pending)
        rows = {work.noun: frame for work, frame in zip(pending, typed, strict=True)}
        judged = _judge(judging, pending, rows, keep)
        limit, rules = ctx.settings.clean.max_quarantined_fraction, judging.judge.rules
        fates, findings = _together(judged)
        breaches = breaches_of(rules, limit, fates, findings, past)
        held = held_by(breaches)
        if held:
            # Judged again without them: a row that is held back must not stand for its key before another delivery's.
            judged = _judge(judging, pending, rows, keep, held)
            fates, findings = _together(judged)
        _declare_superseded(ctx, judged)
        in_parallel(lambda part: _to_silver(ctx, part), judged)
        warnings = [row for row in breaches if row["severity"] == "warn"]
        _write_accounts(ctx, judged, fates, [*findings, *warnings], rules.version)
    _say_what_became(ctx, fates, findings)
    num_quarantined = sum(row["num_quarantined"] for row in fates)
    return StageResult(
        sum(row["num_accepted"] for row in fates), note=f"{num_quarantined} quarantined", refusal=_said(held)
    )


def _typed(judging: Judging, work: Pending, keep: Keep) -> DataFrame:
    """Set down only where rows of another noun refer to it: else it is read once, when it is judged."""
    typed = judging.typed(work.noun, judging.records(work.batches))
    return keep(typed, work.noun) if work.noun in judging.judge.rules.referred_to else typed


def _judge(
    judging: Judging, pending: list[Pending], rows: dict[str, DataFrame], keep: Keep, held: Held | None = None
) -> list[Judged]:
    def judge(work: Pending) -> Judged:
        silver = judging.ctx.tables.read(NOUNS[work.noun]).where(~F.col("batch_id").isin(*work.batch_ids))
        judged = keep(judging.with_fates(work.noun, rows, silver, held), f"{work.noun}_judged")
        return Judged(
            work, judged, fates_of(work.noun, work.batches, judged, judging.judge.rules), findings_of(work.noun, judged)
        )

    return in_parallel(judge, pending)


def _together(judged: list[Judged]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    return [row for part in judged for row in part.fates], [row for part in judged for row in part.findings]


def _said(held: dict[tuple[str, str, str], str]) -> str:
    if not held:
        return ""
    parts = [f"{source} -> {noun}: batch {batch} is held back ({code})" for (source, noun, batch), code in held.items()]
    return (
        f"{'; '.join(parts)}. Silver is as it was for them. Look at ops.finding, mend the source's mapping or the rule, "
        "then run jobs/replay.py."
    )


def _declare_superseded(ctx: JobContext, judged: list[Judged]) -> None:
    digest = sha256_of(sorted(part.work.digest for part in judged))
    accepted = {part.work.noun: part.rows.where("_fate = 'accepted'") for part in judged}
    declare_superseded(ctx, accepted, batch_id=f"clean:{digest[:24]}", digest=digest)


def _to_silver(ctx: JobContext, part: Judged) -> None:
    contract, digest = NOUNS[part.work.noun], part.work.digest
    accepted = part.rows.where("_fate = 'accepted'").select(*contract.column_names)
    batch_id = f"clean:{digest[:24]}"
    ctx.tables.merge(contract, accepted, batch_id=batch_id, digest=digest, is_settled=True)
    sound = part.rows.where("_fate <> 'quarantined'").select(*contract.column_names, "_rank")
    update_histories(ctx, part.work.noun, sound, batch_id=batch_id, digest=digest)


def pending_work(sources: Mapping[str, Source], deliveries: list[Row], fates: list[Row]) -> list[Pending]:
    """For each noun, the ingested batches whose fate is not recorded."""
    ingested = {(row["source"], row["batch_id"]) for row in deliveries if row["fate"] == "ingested"}
    done = {(row["source"], row["noun"], row["batch_id"]) for row in fates}
    work = []
    for noun in NOUNS:
        batches = {
            name: tuple(sorted(b for owner, b in ingested if owner == name and (name, noun, b) not in done))
            for name, source in sources.items()
            if noun in source.feeds
        }
        batches = {name: ids for name, ids in batches.items() if ids}
        if batches:
            work.append(Pending(noun, batches))
    return work


def _write_accounts(
    ctx: JobContext,
    judged: list[Judged],
    fates: list[dict[str, Any]],
    findings: list[dict[str, Any]],
    rules_version: str,
) -> None:
    """Quarantine first, then the conservation rows that end the work: a run that dies between them repeats both."""
    digest = sha256_of(sorted(part.work.digest for part in judged))
    batch_id = f"clean:{digest[:24]}"
    set_aside = reduce(DataFrame.unionByName, [_set_aside(part.work.noun, part.rows, rules_version) for part in judged])
    ctx.tables.merge(QUARANTINE, set_aside, batch_id=batch_id, digest=digest, insert_only=True, is_settled=True)
    for contract, rows in ((FINDING, findings), (BATCH_FATE, fates)):
        filled = [tuple({"rules_version": rules_version, **row}[n] for n in contract.column_names) for row in rows]
        frame = ctx.spark.createDataFrame(filled, contract.schema)
        ctx.tables.merge(contract, frame, batch_id=batch_id, digest=digest)


def _say_what_became(ctx: JobContext, fates: list[dict[str, Any]], findings: list[dict[str, Any]]) -> None:
    """A line for each noun, and below it one for all that was found of a kind."""
    sums: dict[str, Counter[str]] = {}
    for row in fates:
        fate_of = sums.setdefault(row["noun"], Counter())
        fate_of.update({fate: row[fate] for fate in ("num_in", "num_accepted", "num_quarantined", "num_duplicate")})
    found: Counter[tuple[str, str, str, str]] = Counter()
    for row in findings:
        found[(row["noun"], row["severity"], row["code"], row["column"])] += row["num_rows"]
    for noun, fate_of in sorted(sums.items()):
        ctx.log.info("clean %-18s %9d in = %d to silver + %d set aside + %d repeats", noun, *fate_of.values())
        for (of, severity, code, column), num_rows in sorted(found.items()):
            if of == noun:
                ctx.log.info("clean %-18s %9d %s: %s (%s)", noun, num_rows, _FOLLOWS[severity], code, column)


def _set_aside(noun: str, rows: DataFrame, rules_version: str) -> DataFrame:
    """Grain: row_id x noun. Rows folded into their key are counted and not listed: nothing of them is lost."""
    listed = rows.where((F.col("_fate") != "accepted") & (F.coalesce("_duplicate", F.lit("")) != "folded"))
    reasons = F.when(F.size("_reasons") > 0, F.col("_reasons")).otherwise(F.array("_duplicate"))
    return listed.select(
        "row_id",
        "source",
        F.lit(noun).alias("noun"),
        "batch_id",
        F.col("_file").alias("file"),
        F.col("_position").alias("position"),
        F.col("_fate").alias("fate"),
        reasons.alias("reasons"),
        F.lit(rules_version).alias("rules_version"),
    )
