"""From bronze records of several sources to rows of one noun with their fates: what cleaning and replaying share."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import DELIVERY
from crm_spark.contracts.silver import NOUNS
from crm_spark.contracts.source import Source, load_sources
from crm_spark.core.context import JobContext
from crm_spark.quality.rules import load_rules
from crm_spark.stages.clean.conform import Judge, Money, conformed
from crm_spark.stages.clean.deduplicate import mark_duplicates
from crm_spark.stages.clean.drift import lacking_columns
from crm_spark.stages.clean.standardise import load_standards
from crm_spark.stages.clean.verdicts import Held, contradictions_noted, decided, reasons_in, referred


@dataclass(frozen=True)
class Judging:
    """The sources, what arrived from them, and what their rows are held to."""

    ctx: JobContext
    sources: Mapping[str, Source]
    deliveries: list[Row]
    judge: Judge

    @classmethod
    def of(cls, ctx: JobContext) -> "Judging":
        """With the configured sources, rules and exchange rates.

        Raises:
            ConfigError: a source or rule cannot be used, or a currency has no rate.
        """
        sources = {s.name: s for s in load_sources(Path(ctx.settings.ingest.sources_dir))}
        company = ctx.settings.company
        money = Money(company.currency, company.exchange_rates)
        for source in sources.values():
            money.require_rate(source)
        clean = ctx.settings.clean
        judge = Judge(load_rules(clean.rules_dir, clean.more_rules_dir), money, load_standards(clean))
        return cls(ctx, sources, ctx.tables.read(DELIVERY).collect(), judge)

    def typed(self, noun: str, records: Mapping[str, DataFrame]) -> DataFrame:
        """Grain: bronze record x noun. The records of each source, typed, and judged one by one."""
        parts = []
        for name, frame in records.items():
            source, feed = self.sources[name], self.sources[name].feeds[noun]
            lacking = sorted(lacking_columns(source, feed, self.deliveries))
            parts.append(conformed(frame, source, noun, feed, self.judge, lacking=lacking))
        return reduce(DataFrame.unionByName, parts)

    def say_what_is_lacking(self, noun: str, batches: Mapping[str, tuple[str, ...]]) -> None:
        """Warns of each file of these deliveries that lacks a column, and of which."""
        for name, ids in batches.items():
            lacking = lacking_columns(self.sources[name], self.sources[name].feeds[noun], self.deliveries)
            for row in self.deliveries:
                if row["fate"] == "ingested" and row["batch_id"] in ids and row["file_sha256"] in lacking:
                    self.ctx.log.warning(
                        "%s: %s has no column %s, which feeds.%s reads; none of its records becomes %s",
                        *(name, row["file"], " and no ".join(map(repr, lacking[row["file_sha256"]])), noun, noun),
                    )

    def records(self, batches: Mapping[str, tuple[str, ...]]) -> dict[str, DataFrame]:
        """The bronze records of deliveries, by source."""
        return {
            name: self.ctx.tables.read(bronze(name)).where(F.col("_batch_id").isin(*ids))
            for name, ids in batches.items()
        }

    def with_fates(
        self, noun: str, rows: Mapping[str, DataFrame], silver: DataFrame, held: Held | None = None
    ) -> DataFrame:
        """Grain: typed row of the noun. Adds `_reasons`, `_duplicate` and `_fate`: accepted, quarantined or duplicate.

        Args:
            noun: of the rows.
            rows: the typed rows that are judged now, by noun; those of the others may be referred to.
            silver: what silver holds of the noun, less what comes from these very rows.
            held: the deliveries that are held back whole.
        """
        found = rows[noun]
        for rule in self.judge.rules.of(noun):
            if rule.reference is not None:
                found = referred(found, rule, self._keys(*rule.reference, rows))
        judged = decided(found, noun, held or {})
        key = NOUNS[noun].grain
        ranks = F.lit(0)
        for name, source in self.sources.items():
            ranks = F.when(F.col("source") == name, source.rank).otherwise(ranks)
        existing = silver.withColumn("_rank", ranks)
        if self.ctx.tables.exists(NOUNS[noun]):
            existing = existing.join(rows[noun].select(*key).distinct(), list(key), "left_semi")
        compared = self._folded_columns(noun)
        marked = mark_duplicates(judged, existing, key=key, compared=compared)
        if compared:
            marked = marked.withColumn("_findings", contradictions_noted(compared))
        fate = F.when(F.size("_reasons") > 0, "quarantined").when(F.col("_duplicate").isNotNull(), "duplicate")
        return marked.withColumn("_fate", fate.otherwise("accepted")).drop("_contradicted")

    def _folded_columns(self, noun: str) -> list[str]:
        """What sources that fold the noun say of it, but for its key."""
        feeds = [source.feeds[noun] for source in self.sources.values() if noun in source.feeds]
        named = {column for feed in feeds if feed.fold for column in feed.columns}
        return sorted(named - set(NOUNS[noun].grain))

    def _keys(self, noun: str, key: str, rows: Mapping[str, DataFrame]) -> DataFrame | None:
        """System and key of what silver holds of a noun and of the sound rows judged now; None: no source makes it."""
        if not any(noun in source.feeds for source in self.sources.values()):
            return None
        keys = self.ctx.tables.read(NOUNS[noun]).select("system", key)
        if noun not in rows:
            return keys
        return keys.union(rows[noun].where(F.size(reasons_in(F.col("_findings"))) == 0).select("system", key))
