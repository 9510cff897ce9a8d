"""Merge the records of one key by column: each column takes the first known value in the order of the records.

The origin of a value from another record than the kept one is stored in `merged_from`, so that the result of records with an
update time depends on the records alone, not on the deliveries in which they arrived.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import DataType
from pyspark.sql.window import WindowSpec

from crm_spark.contracts.attributes import packed, value_of
from crm_spark.contracts.silver import ENTITIES, SILVER_ENVELOPE
from crm_spark.contracts.types import ORIGINS
from crm_spark.quality.rules import QualityRules
from crm_spark.sources.config import Source, attributes_of
from crm_spark.sources.mappings import ATTRIBUTE, ATTRIBUTE_TYPES
from crm_spark.stages.clean.lines import CONSENT

MERGED_FROM = "merged_from"
IS_ORIGIN = "_is_origin"
"""Whether a row stands for a value that a kept row took from another record."""
KEPT = "_kept"
"""Struct of the merged columns of a kept row."""
_COLUMN_GROUPS = (
    ("street", "house_number"),
    ("email", "email_match"),
    ("text", "plain_text", "language"),
    ("title", "plain_title"),
)
"""Columns taken from the same record; the first decides."""
_ORIGIN = ("source", "row_id", "updated_at", "record_hash")


@dataclass(frozen=True)
class Survivorship:
    """Columns of an entity that are merged, and the values that count as unknown.

    Attributes:
        entity: name of the entity.
        groups: columns that are taken from one record together; the first decides.
        default_countries: source without a mapped country -> its configured country, used if no record has a country.
        attributes: types of the attributes, by name; each is merged like a column.
    """

    entity: str
    groups: tuple[tuple[str, ...], ...]
    default_countries: Mapping[str, str]
    attributes: Mapping[str, DataType] = field(default_factory=dict)

    @classmethod
    def of(cls, entity: str, sources: Mapping[str, Source], rules: QualityRules) -> "Survivorship":
        """Merged columns of an entity; none if each key comes from one source with one row per record."""
        feeds = [(source, source.feeds[entity]) for source in sources.values() if entity in source.feeds]
        systems = [source.system for source, _ in feeds]
        is_merged = len(systems) > len(set(systems)) or any(feed.one_row_per_key for _, feed in feeds)
        contract = ENTITIES[entity]
        envelope = {"attributes", *(column.name for column in SILVER_ENVELOPE)}
        names = [c.name for c in contract.columns if not c.is_required and c.name not in {*contract.grain, *envelope}]
        derived = {name for group in _COLUMN_GROUPS for name in group[1:] if group[0] in names}
        groups = [
            next((tuple(n for n in group if n in names) for group in _COLUMN_GROUPS if group[0] == name), (name,))
            for name in names
            if name not in derived and rules.survivorship.get(f"{entity}.{name}") != "latest"
        ]
        countries = {s.name: s.country for s, feed in feeds if s.country and "country" not in feed.columns}
        if not is_merged:
            return cls(entity, (), countries if entity == "person" else {})
        attributes = {
            name: ATTRIBUTE_TYPES[attribute.type] for name, attribute in attributes_of(sources.values(), entity).items()
        }
        groups += [(ATTRIBUTE.format(name),) for name in attributes]
        return cls(entity, tuple(groups), countries if entity == "person" else {}, attributes)

    @property
    def columns(self) -> list[str]:
        """All merged columns."""
        return [name for group in self.groups for name in group]

    def with_attributes(self, rows: DataFrame) -> DataFrame:
        """Grain unchanged. Adds `attribute_NAME` for each attribute, if the entity is merged."""
        return rows.withColumns(
            {
                ATTRIBUTE.format(name): value_of(F.col("attributes"), name, kind)
                for name, kind in self.attributes.items()
            }
        )

    def contributions(self, silver: DataFrame) -> DataFrame:
        """Rows of silver as they were before merging, plus a row for each value taken from another record. With attributes.

        Adds `_is_origin`, true for the latter.
        """
        if not self.groups:
            return silver.withColumn(IS_ORIGIN, F.lit(False))
        silver = self.with_attributes(silver)
        taken = F.coalesce(F.col(f"{MERGED_FROM}.column"), F.array().cast("array<string>"))
        own = {
            name: F.when(~F.array_contains(taken, group[0]), F.col(name)).alias(name)
            for group in self.groups
            for name in group
        }
        kept = silver.withColumns(own).withColumn(IS_ORIGIN, F.lit(False))
        exploded = silver.where(F.col(MERGED_FROM).isNotNull()).withColumn("_origin", F.explode(MERGED_FROM))
        values = {
            name: F.when(F.col("_origin.column") == group[0], F.col(name)) for group in self.groups for name in group
        }
        lineage = {name: F.col(f"_origin.{name}") for name in _ORIGIN}
        origins = exploded.withColumns(values | lineage).withColumn(IS_ORIGIN, F.lit(True)).drop("_origin")
        return kept.unionByName(origins)

    def chosen(self, whole: WindowSpec) -> dict[str, Column]:
        """First known value of each group with its origin, over an ordered window of the records of a key."""
        return {
            _chosen(group): (self._consent(group) if group == (CONSENT,) else self._first_known(group)).over(whole)
            for group in self.groups
        }

    def kept(self) -> Column:
        """Merged columns and `merged_from` of a kept row, from the columns of `chosen`."""
        merged, origins = [], []
        for group in self.groups:
            chosen = F.col(_chosen(group))
            is_taken = chosen.isNotNull() & (chosen["record_hash"] != F.col("record_hash"))
            for name in group:
                value = F.when(is_taken, chosen[name]).otherwise(F.col(name))
                merged.append((self._or_default(value) if name == "country" else value).alias(name))
            lineage = [chosen[name].alias(name) for name in _ORIGIN]
            origins.append(F.when(is_taken, F.array(F.struct(F.lit(group[0]).alias("column"), *lineage))))
        empty = F.array().cast(ORIGINS)
        taken = F.array_sort(F.concat(*(F.coalesce(origin, empty) for origin in origins)))
        return F.struct(*merged, F.when(F.size(taken) > 0, taken).cast(ORIGINS).alias(MERGED_FROM))

    def _first_known(self, group: Sequence[str]) -> Column:
        return F.first(self._with_origin(group), ignorenulls=True)

    def _consent(self, group: Sequence[str]) -> Column:
        """Latest known consent; of records of the same age, a refusal."""
        # A refusal in another record stays until that record changes.
        arrived = F.when(F.col(IS_ORIGIN), F.lit("9999-12-31").cast("timestamp")).otherwise(F.col("_arrived_at"))
        age = F.struct("updated_at", F.when(F.col("updated_at").isNull(), arrived))
        return F.max_by(
            self._with_origin(group),
            F.when(F.col(CONSENT).isNotNull(), F.struct(age, ~F.col(CONSENT), "_rank", "record_hash")),
        )

    def _with_origin(self, group: Sequence[str]) -> Column:
        """Values of a group with the record that they come from; null if unknown."""
        names = [*group, *(name for name in _ORIGIN if name not in group)]
        return F.when(self._is_known(group[0]), F.struct(*names))

    def _is_known(self, name: str) -> Column:
        is_known = F.col(name).isNotNull()
        if name == "country" and self.default_countries:
            return is_known & ~F.col("source").isin(*sorted(self.default_countries))
        return is_known

    def _or_default(self, country: Column) -> Column:
        defaults = [
            F.when(F.col("source") == name, F.lit(code)) for name, code in sorted(self.default_countries.items())
        ]
        return F.coalesce(country, *defaults)


def with_kept_values(rows: DataFrame, survivorship: Survivorship) -> DataFrame:
    """Rows with the merged columns in place of their own; grain unchanged."""
    if not survivorship.groups:
        return rows
    is_kept = F.col(KEPT).isNotNull()
    merged = [*survivorship.columns, MERGED_FROM]
    rows = rows.withColumns({n: F.when(is_kept, F.col(f"{KEPT}.{n}")).otherwise(F.col(n)) for n in merged})
    values = {name: (F.col(ATTRIBUTE.format(name)), kind) for name, kind in survivorship.attributes.items()}
    return rows.withColumn("attributes", packed(values)) if values else rows


def _chosen(group: Sequence[str]) -> str:
    return f"_chosen_{group[0]}"
