"""From bronze records of several sources to rows of one entity with their statuses: what cleaning and replaying share."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import DELIVERY
from crm_spark.contracts.silver import ENTITIES
from crm_spark.core.context import JobContext
from crm_spark.quality.rules import load_rules
from crm_spark.sources.config import Source, load_sources
from crm_spark.stages.clean.conform import Money, RowValidator, conformed
from crm_spark.stages.clean.decisions import Held, contradictions_noted, decided, reasons_in, referred
from crm_spark.stages.clean.deduplicate import mark_duplicates
from crm_spark.stages.clean.schema_drift import lacking_columns
from crm_spark.stages.clean.standardise import load_standards


@dataclass(frozen=True)
class Validation:
    """The sources, what arrived from them, and what their rows are held to."""

    ctx: JobContext
    sources: Mapping[str, Source]
    deliveries: list[Row]
    judge: RowValidator

    @classmethod
    def of(cls, ctx: JobContext) -> "Validation":
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
        judge = RowValidator(load_rules(clean.rules_dir, clean.more_rules_dir), money, load_standards(clean))
        return cls(ctx, sources, ctx.tables.read(DELIVERY).collect(), judge)

    def typed(self, entity: str, records: Mapping[str, DataFrame]) -> DataFrame:
        """Grain: bronze record x entity. The records of each source, typed, and judged one by one."""
        parts = []
        for name, frame in records.items():
            source, feed = self.sources[name], self.sources[name].feeds[entity]
            lacking = sorted(lacking_columns(source, feed, self.deliveries))
            parts.append(conformed(frame, source, entity, feed, self.judge, lacking=lacking))
        return reduce(DataFrame.unionByName, parts)

    def say_what_is_lacking(self, entity: str, batches: Mapping[str, tuple[str, ...]]) -> None:
        """Warns of each file of these deliveries that lacks a column, and of which."""
        for name, ids in batches.items():
            lacking = lacking_columns(self.sources[name], self.sources[name].feeds[entity], self.deliveries)
            for row in self.deliveries:
                if row["status"] == "ingested" and row["batch_id"] in ids and row["file_sha256"] in lacking:
                    self.ctx.log.warning(
                        "%s: %s has no column %s, which feeds.%s reads; none of its records becomes %s",
                        *(name, row["file"], " and no ".join(map(repr, lacking[row["file_sha256"]])), entity, entity),
                    )

    def records(self, batches: Mapping[str, tuple[str, ...]]) -> dict[str, DataFrame]:
        """The bronze records of deliveries, by source."""
        return {
            name: self.ctx.tables.read(bronze(name)).where(F.col("_batch_id").isin(*ids))
            for name, ids in batches.items()
        }

    def with_status(
        self, entity: str, rows: Mapping[str, DataFrame], silver: DataFrame, held: Held | None = None
    ) -> DataFrame:
        """Grain: typed row of the entity. Adds `_reasons`, `_duplicate` and `_status`: accepted, quarantined or duplicate.

        Args:
            entity: of the rows.
            rows: the typed rows that are judged now, by entity; those of the others may be referred to.
            silver: what silver holds of the entity, less what comes from these very rows.
            held: the deliveries that are held back whole.
        """
        found = rows[entity]
        for rule in self.judge.rules.of(entity):
            if rule.reference is not None:
                found = referred(found, rule, self._keys(*rule.reference, rows))
        judged = decided(found, entity, held or {})
        key = ENTITIES[entity].grain
        ranks = F.lit(0)
        for name, source in self.sources.items():
            ranks = F.when(F.col("source") == name, source.rank).otherwise(ranks)
        existing = silver.withColumn("_rank", ranks)
        if self.ctx.tables.exists(ENTITIES[entity]):
            existing = existing.join(rows[entity].select(*key).distinct(), list(key), "left_semi")
        compared = self._merged_columns(entity)
        marked = mark_duplicates(judged, existing, key=key, compared=compared)
        if compared:
            marked = marked.withColumn("_findings", contradictions_noted(compared))
        status = F.when(F.size("_reasons") > 0, "quarantined").when(F.col("_duplicate").isNotNull(), "duplicate")
        return marked.withColumn("_status", status.otherwise("accepted")).drop("_contradicted")

    def _merged_columns(self, entity: str) -> list[str]:
        """What sources that fold the entity say of it, but for its key."""
        feeds = [source.feeds[entity] for source in self.sources.values() if entity in source.feeds]
        named = {column for feed in feeds if feed.one_row_per_key for column in feed.columns}
        return sorted(named - set(ENTITIES[entity].grain))

    def _keys(self, entity: str, key: str, rows: Mapping[str, DataFrame]) -> DataFrame | None:
        """System and key of what silver holds of an entity and of the sound rows judged now; None: no source makes it."""
        if not any(entity in source.feeds for source in self.sources.values()):
            return None
        keys = self.ctx.tables.read(ENTITIES[entity]).select("system", key)
        if entity not in rows:
            return keys
        return keys.union(rows[entity].where(F.size(reasons_in(F.col("_findings"))) == 0).select("system", key))
