"""Convert bronze records of several sources to rows of one entity with a row status. Used by clean and replay."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import DELIVERY
from crm_spark.contracts.silver import ENTITIES
from crm_spark.core.context import JobContext
from crm_spark.quality.rules import load_rules
from crm_spark.sources.config import Source, load_sources
from crm_spark.stages.clean.amounts import Money
from crm_spark.stages.clean.conform import INFO, LEFT_OUT, POINTER, WHOLE_ROW, RowValidator, conformed
from crm_spark.stages.clean.decisions import (
    BlockedDeliveries,
    reasons_in,
    with_conflicts,
    with_decision,
    with_reference_findings,
)
from crm_spark.stages.clean.deduplicate import IN_SILVER, mark_duplicates
from crm_spark.stages.clean.lines import CONTRADICTED
from crm_spark.stages.clean.lookups import with_found_values
from crm_spark.stages.clean.records import left_out, records_of
from crm_spark.stages.clean.schema_drift import missing_columns, require_known_paths
from crm_spark.stages.clean.standardise import load_standards
from crm_spark.stages.clean.survivorship import IS_ORIGIN, Survivorship

_DELIVERED = {"_arrived_at": "timestamp", "_file": "string", "_position": "bigint"}
"""Columns that tell when and where a record was delivered, with their types."""


@dataclass(frozen=True)
class Validation:
    """Sources, their deliveries, and the row validator."""

    ctx: JobContext
    sources: Mapping[str, Source]
    deliveries: list[Row]
    validator: RowValidator

    @classmethod
    def of(cls, ctx: JobContext) -> "Validation":
        """Create from the configured sources, rules and exchange rates.

        Raises:
            ConfigError: a source or rule is invalid, a currency has no exchange rate, or no record has a mapped JSON path.
        """
        folder = Path(ctx.settings.ingest.sources_dir)
        sources = {s.name: s for s in load_sources(folder)}
        deliveries = ctx.tables.read(DELIVERY).collect()
        company = ctx.settings.company
        money = Money(company.currency, company.exchange_rates)
        for source in sources.values():
            money.require_rate(source)
            require_known_paths(source, deliveries, str(folder / f"{source.name}.yaml"))
        clean = ctx.settings.clean
        rules, standards = load_rules(clean.rules_dir, clean.more_rules_dir), load_standards(clean)
        validator = RowValidator(rules, money, standards, company.time_zone)
        return cls(ctx, sources, deliveries, validator)

    def typed(self, entity: str, records: Mapping[str, DataFrame]) -> DataFrame:
        """Typed rows with row-level findings. Grain: bronze record x entity."""
        parts = []
        for name, frame in records.items():
            source, feed = self.sources[name], self.sources[name].feeds[entity]
            incomplete_files = sorted(missing_columns(source, feed, self.deliveries))
            rows = records_of(frame, feed, incomplete_files)
            if (is_left_out := left_out(feed, rows.columns)) is not None:
                rows = rows.where(~is_left_out)
            rows = with_found_values(rows, feed, lambda other: self.ctx.tables.read(bronze(other)))
            parts.append(conformed(rows, source, entity, feed, self.validator, incomplete_files=incomplete_files))
        return reduce(DataFrame.unionByName, parts)

    def left_out(self, entity: str, batches: Mapping[str, tuple[str, ...]]) -> list[dict[str, Any]]:
        """Findings about the records that conditions of the feeds leave out. Grain: source, batch."""
        findings = []
        for name, frame in self.records(batches).items():
            feed = self.sources[name].feeds[entity]
            rows = records_of(frame, feed)
            if (is_left_out := left_out(feed, rows.columns)) is None:
                continue
            counted = (
                rows.where(is_left_out)
                .groupBy("_batch_id")
                .agg(F.count(F.lit(1)).alias("num_rows"), F.min(F.struct(*POINTER)).alias("example"))
            )
            base = {"source": name, "entity": entity, "code": LEFT_OUT, "column": WHOLE_ROW, "severity": INFO}
            findings += [
                {
                    **base,
                    "batch_id": row["_batch_id"],
                    "num_rows": row["num_rows"],
                    "file": row["example"]["_file"],
                    "position": row["example"]["_position"],
                }
                for row in counted.collect()
            ]
        return findings

    def warn_missing_columns(self, entity: str, batches: Mapping[str, tuple[str, ...]]) -> None:
        """Log a warning for each file of these deliveries without a mapped column."""
        for name, ids in batches.items():
            incomplete_files = missing_columns(self.sources[name], self.sources[name].feeds[entity], self.deliveries)
            for row in self.deliveries:
                if row["status"] == "ingested" and row["batch_id"] in ids and row["file_sha256"] in incomplete_files:
                    self.ctx.log.warning(
                        "%s: %s is missing columns mapped in feeds.%s: %s. All its records of this entity are quarantined. "
                        "Correct the mapping, say in files.table where the header is, or list the columns in files.may_lack",
                        name,
                        row["file"],
                        entity,
                        ", ".join(map(repr, incomplete_files[row["file_sha256"]])),
                    )

    def records(self, batches: Mapping[str, tuple[str, ...]]) -> dict[str, DataFrame]:
        """Bronze records of the deliveries, by source."""
        return {
            name: self.ctx.tables.read(bronze(name)).where(F.col("_batch_id").isin(*ids))
            for name, ids in batches.items()
        }

    def with_status(
        self, entity: str, rows: Mapping[str, DataFrame], silver: DataFrame, blocked: BlockedDeliveries | None = None
    ) -> DataFrame:
        """Add `_reasons`, `_duplicate` and `_status` (accepted, quarantined, duplicate). Grain: typed row of the entity.

        If the entity is merged by column, also adds `_kept` and returns the silver rows whose values may change, with status
        `merged`.

        Args:
            entity: entity of the rows.
            rows: typed rows of this run, by entity; reference rules also look up the other entities.
            silver: silver rows of the entity; `_is_own` marks those of the same deliveries. Without `_arrived_at`, `_file` and
                `_position` they were delivered before all `rows`.
            blocked: blocked deliveries.
        """
        checked = rows[entity]
        for rule in self.validator.rules.of(entity):
            if rule.reference is not None:
                systems = self._systems_of(rule.reference[0])
                checked = with_reference_findings(checked, rule, self._keys(*rule.reference, rows), systems)
        validated = with_decision(checked, entity, blocked or {})
        key = ENTITIES[entity].grain
        rank = F.lit(0)
        for name, source in self.sources.items():
            rank = F.when(F.col("source") == name, source.rank).otherwise(rank)
        unknown = {n: F.lit(None).cast(kind) for n, kind in _DELIVERED.items() if n not in silver.columns}
        silver = silver.withColumns(unknown)
        if self.ctx.tables.exists(ENTITIES[entity]):
            silver = silver.join(rows[entity].select(*key).distinct(), list(key), "left_semi")
        survivorship = self.survivorship(entity)
        # Keep values merged from other records, even if the row that holds them is validated again.
        existing = survivorship.contributions(silver).where(F.col(IS_ORIGIN) | ~F.col("_is_own")).drop("_is_own")
        compared = self._compared_columns(entity) if survivorship.groups else []
        marked = mark_duplicates(
            survivorship.with_attributes(validated),
            existing.withColumn("_rank", rank),
            survivorship,
            key=key,
            compared=compared,
        )
        marked = marked.withColumn("_findings", with_conflicts(compared, key[-1]))
        status = F.when(F.size("_reasons") > 0, "quarantined").when(F.col("_duplicate").isNotNull(), "duplicate")
        status = status.otherwise("accepted")
        if survivorship.groups:
            status = F.when(F.col(IN_SILVER), "merged").otherwise(status)
        return marked.withColumn("_status", status).drop(CONTRADICTED)

    def survivorship(self, entity: str) -> Survivorship:
        """How the records of one key are merged."""
        return Survivorship.of(entity, self.sources, self.validator.rules)

    def _compared_columns(self, entity: str) -> list[str]:
        """Non-key columns mapped by the feeds of an entity whose records are merged."""
        feeds = [source.feeds[entity] for source in self.sources.values() if entity in source.feeds]
        return sorted({column for feed in feeds for column in feed.mapped} - {*ENTITIES[entity].grain, "updated_at"})

    def _systems_of(self, entity: str) -> list[str]:
        """Systems in which a source feeds an entity."""
        return sorted({source.system for source in self.sources.values() if entity in source.feeds})

    def _keys(self, entity: str, key: str, rows: Mapping[str, DataFrame]) -> DataFrame | None:
        """System and key of an entity in silver and among the valid rows of this run; None if no source feeds it."""
        if not self._systems_of(entity):
            return None
        keys = self.ctx.tables.read(ENTITIES[entity]).select("system", key)
        if entity not in rows:
            return keys
        return keys.union(rows[entity].where(F.size(reasons_in(F.col("_findings"))) == 0).select("system", key))
