"""Clean: bronze -> silver + quarantine. Rows in = accepted + quarantined + declared duplicates, for every delivery."""

from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import BATCH_FATE, DELIVERY, QUARANTINE
from crm_spark.contracts.silver import EVENT_TIMES, NOUNS
from crm_spark.contracts.source import Source, load_sources
from crm_spark.core.context import JobContext, StageResult, in_parallel
from crm_spark.core.errors import CrmError, GateError
from crm_spark.core.hashing import sha256_of
from crm_spark.quality.rules import QualityRules, load_rules
from crm_spark.stages.clean.conform import Money, conformed
from crm_spark.stages.clean.deduplicate import mark_duplicates


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


def inputs(ctx: JobContext) -> dict[str, Any]:
    """The deliveries, the sources' mappings and the rules."""
    sources = load_sources(Path(ctx.settings.ingest.sources_dir))
    return {
        "delivery": ctx.tables.version(DELIVERY),
        "sources": {s.name: s.model_dump(mode="json") for s in sources},
        "rules": load_rules(Path(ctx.settings.clean.rules_dir)).version,
    }


def run(ctx: JobContext) -> StageResult:
    """Cleans every delivery that has not been cleaned."""
    sources = {s.name: s for s in load_sources(Path(ctx.settings.ingest.sources_dir))}
    rules = load_rules(Path(ctx.settings.clean.rules_dir))
    pending = pending_work(sources, ctx.tables.read(DELIVERY).collect(), ctx.tables.read(BATCH_FATE).collect())
    judged = [(work, _judged(ctx, sources, rules, work).persist(StorageLevel.MEMORY_AND_DISK)) for work in pending]
    fates = [row for rows in in_parallel(lambda pair: _fates(*pair), judged) for row in rows]
    _require_sane(ctx, fates)
    in_parallel(lambda pair: _to_silver(ctx, *pair), judged)
    if judged:
        _write_fates(ctx, judged, fates, rules)
    num_quarantined = sum(row["num_quarantined"] for row in fates)
    return StageResult(sum(row["num_accepted"] for row in fates), note=f"{num_quarantined} quarantined")


def _to_silver(ctx: JobContext, work: Pending, frame: DataFrame) -> None:
    accepted = frame.where("_fate = 'accepted'").select(*NOUNS[work.noun].column_names)
    result = ctx.tables.merge(NOUNS[work.noun], accepted, batch_id=f"clean:{work.digest[:24]}", digest=work.digest)
    ctx.log.info("clean %-18s %9d rows to silver", work.noun, result.num_rows)


def pending_work(sources: dict[str, Source], deliveries: list[Row], fates: list[Row]) -> list[Pending]:
    """For each noun, the ingested batches whose fate is not recorded."""
    ingested = {(row["source"], row["batch_id"]) for row in deliveries if row["fate"] == "ingested"}
    done = {(row["source"], row["noun"], row["batch_id"]) for row in fates}
    work = []
    for noun in NOUNS:
        feeding = [name for name, source in sources.items() if noun in source.feeds]
        batches = {
            name: tuple(sorted(b for source, b in ingested if source == name and (name, noun, b) not in done))
            for name in feeding
        }
        batches = {name: ids for name, ids in batches.items() if ids}
        if batches:
            work.append(Pending(noun, batches))
    return work


def _judged(ctx: JobContext, sources: dict[str, Source], rules: QualityRules, work: Pending) -> DataFrame:
    """Grain: bronze record x noun. The noun's columns and `_fate` with `_reasons`."""
    company = ctx.settings.company
    money = Money(company.currency, company.exchange_rates)
    parts = []
    for name, batch_ids in work.batches.items():
        records = ctx.tables.read(bronze(name)).where(F.col("_batch_id").isin(*batch_ids))
        parts.append(conformed(records, sources[name], work.noun, sources[name].feeds[work.noun], rules, money))
    frame = reduce(DataFrame.unionByName, parts)
    contract = NOUNS[work.noun]
    fit = frame.where(F.size("_reasons") == 0)
    ranks = F.lit(0)
    for name, source in sources.items():
        ranks = F.when(F.col("source") == name, source.rank).otherwise(ranks)
    held = ctx.tables.read(contract).where(~F.col("batch_id").isin(*work.batch_ids)).withColumn("_rank", ranks)
    if ctx.tables.exists(contract):
        held = held.join(fit.select(*contract.grain).distinct(), list(contract.grain), "left_semi")
    marked = mark_duplicates(fit, held, key=contract.grain)
    unfit = frame.where(F.size("_reasons") > 0).withColumn("_duplicate", F.lit(None).cast("string"))
    both = marked.unionByName(unfit)
    fate = F.when(F.size("_reasons") > 0, "quarantined").when(F.col("_duplicate").isNotNull(), "duplicate")
    return both.withColumn("_fate", fate.otherwise("accepted"))


def _fates(work: Pending, frame: DataFrame) -> list[dict[str, Any]]:
    """One row per source and batch; small: a delivery is one batch."""
    event = EVENT_TIMES.get(work.noun)
    newest = F.max(F.when(F.col("_fate") == "accepted", F.col(event))) if event else F.lit(None).cast("timestamp")
    counts = [
        F.count(F.when(F.col("_fate") == fate, 1)).alias(f"num_{fate}")
        for fate in ("accepted", "quarantined", "duplicate")
    ]
    found = frame.groupBy("source", "batch_id").agg(
        F.count(F.lit(1)).alias("num_in"), *counts, newest.alias("last_event_at")
    )
    by_batch = {(row["source"], row["batch_id"]): row.asDict() for row in found.collect()}
    empty = {"num_in": 0, "num_accepted": 0, "num_quarantined": 0, "num_duplicate": 0, "last_event_at": None}
    return [
        {"noun": work.noun, **empty, "source": source, "batch_id": batch, **by_batch.get((source, batch), {})}
        for source, batches in work.batches.items()
        for batch in batches
    ]


def _require_sane(ctx: JobContext, fates: list[dict[str, Any]]) -> None:
    limit = ctx.settings.clean.max_quarantined_fraction
    for row in fates:
        if row["num_in"] != row["num_accepted"] + row["num_quarantined"] + row["num_duplicate"]:
            raise CrmError(f"clean {row['source']} -> {row['noun']}: rows in and rows out differ; nothing was written.")
        if row["num_in"] >= 20 and row["num_quarantined"] > limit * row["num_in"]:
            raise GateError(
                f"clean {row['source']} -> {row['noun']}: {row['num_quarantined']} of {row['num_in']} rows of batch "
                f"{row['batch_id']} would be quarantined, more than {limit:.0%}. Look at the source's mapping first; "
                "if the rows are truly bad, raise clean.max_quarantined_fraction. Silver is as it was."
            )


def _write_fates(
    ctx: JobContext, judged: list[tuple[Pending, DataFrame]], fates: list[dict[str, Any]], rules: QualityRules
) -> None:
    """Quarantine first, then the conservation rows that end the work: a run that dies between them repeats both."""
    digest = sha256_of(sorted(work.digest for work, _ in judged))
    set_aside = reduce(DataFrame.unionByName, [_set_aside(work, frame, rules) for work, frame in judged])
    ctx.tables.merge(QUARANTINE, set_aside, batch_id=f"clean:{digest[:24]}", digest=digest, insert_only=True)
    rows = [tuple(row[name] for name in BATCH_FATE.column_names) for row in fates]
    frame = ctx.spark.createDataFrame(rows, BATCH_FATE.schema)
    ctx.tables.merge(BATCH_FATE, frame, batch_id=f"clean:{digest[:24]}", digest=digest)


def _set_aside(work: Pending, frame: DataFrame, rules: QualityRules) -> DataFrame:
    """Grain: row_id x noun. Rows folded into their key are counted and not listed: nothing of them is lost."""
    listed = frame.where((F.col("_fate") != "accepted") & (F.coalesce("_duplicate", F.lit("")) != "folded"))
    reasons = F.when(F.size("_reasons") > 0, F.col("_reasons")).otherwise(F.array("_duplicate"))
    return listed.select(
        "row_id",
        "source",
        F.lit(work.noun).alias("noun"),
        "batch_id",
        F.col("_file").alias("file"),
        F.col("_position").alias("position"),
        F.col("_fate").alias("fate"),
        reasons.alias("reasons"),
        F.lit(rules.version).alias("rules_version"),
    )
