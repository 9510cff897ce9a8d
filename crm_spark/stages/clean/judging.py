"""From bronze records of several sources to rows of one noun with their fates: what cleaning and replaying share."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
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
from crm_spark.stages.clean.drift import files_lacking_a_column


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
        judge = Judge(load_rules(Path(ctx.settings.clean.rules_dir)), money)
        return cls(ctx, sources, ctx.tables.read(DELIVERY).collect(), judge)

    def knowing(self, records: Mapping[str, Mapping[str, DataFrame]]) -> "Judging":
        """With the keys that rules refer to: those in silver, and those of the sound rows among the `records`.

        `records`: what is judged now, by noun and source; of nouns that no rule refers to nothing is looked at.
        """
        keys = {}
        for noun, key in sorted(self.judge.rules.references):
            if any(noun in source.feeds for source in self.sources.values()):
                keys[noun, key] = self.ctx.tables.read(NOUNS[noun]).select("system", key)
                if noun in records:
                    sound = self.rows(noun, records[noun]).where(F.size("_reasons") == 0)
                    keys[noun, key] = keys[noun, key].union(sound.select("system", key))
        return replace(self, judge=replace(self.judge, keys=keys))

    def holding(self, held: Mapping[tuple[str, str, str], str]) -> "Judging":
        """With whole deliveries held back."""
        return replace(self, judge=replace(self.judge, held=held))

    def rows(self, noun: str, records: Mapping[str, DataFrame]) -> DataFrame:
        """Grain: bronze record x noun. The records of each source, typed and judged one by one."""
        parts = []
        for name, frame in records.items():
            source, feed = self.sources[name], self.sources[name].feeds[noun]
            lacking = files_lacking_a_column(source, feed, self.deliveries)
            parts.append(conformed(frame, source, noun, feed, self.judge, lacking=lacking))
        return reduce(DataFrame.unionByName, parts)

    def records(self, batches: Mapping[str, tuple[str, ...]]) -> dict[str, DataFrame]:
        """The bronze records of deliveries, by source."""
        return {
            name: self.ctx.tables.read(bronze(name)).where(F.col("_batch_id").isin(*ids))
            for name, ids in batches.items()
        }

    def with_fates(self, rows: DataFrame, noun: str, silver: DataFrame) -> DataFrame:
        """Grain as before. Adds `_duplicate` and `_fate`: accepted, quarantined or duplicate.

        `silver`: what silver holds of the noun, less what comes from these very rows.
        """
        key = NOUNS[noun].grain
        fit = rows.where(F.size("_reasons") == 0)
        ranks = F.lit(0)
        for name, source in self.sources.items():
            ranks = F.when(F.col("source") == name, source.rank).otherwise(ranks)
        held = silver.withColumn("_rank", ranks)
        if self.ctx.tables.exists(NOUNS[noun]):
            held = held.join(fit.select(*key).distinct(), list(key), "left_semi")
        marked = mark_duplicates(fit, held, key=key)
        unfit = rows.where(F.size("_reasons") > 0).withColumn("_duplicate", F.lit(None).cast("string"))
        fate = F.when(F.size("_reasons") > 0, "quarantined").when(F.col("_duplicate").isNotNull(), "duplicate")
        return marked.unionByName(unfit).withColumn("_fate", fate.otherwise("accepted"))
