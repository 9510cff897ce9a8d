"""Merge the records of one key by column: each column takes the first known value in the order of the records.

The origin of a value from another record than the kept one is stored in `merged_from`, so that the result depends on the
records alone, not on the deliveries in which they arrived.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql.window import WindowSpec

from crm_spark.contracts.silver import ENTITIES, SILVER_ENVELOPE
from crm_spark.contracts.types import ORIGINS
from crm_spark.quality.rules import QualityRules
from crm_spark.sources.config import Source

MERGED_FROM = "merged_from"
IS_ORIGIN = "_is_origin"
"""Whether a row stands for a value that a kept row took from another record."""
KEPT = "_kept"
"""Struct of the merged columns of a kept row."""
_TOGETHER = (
    ("street", "house_number"),
    ("email", "email_match"),
    ("text", "plain_text", "language"),
    ("title", "plain_title"),
)
"""Columns derived from the first one; they come from one record."""
_ORIGIN = ("source", "row_id", "updated_at", "record_hash")


@dataclass(frozen=True)
class Survivorship:
    """Columns of an entity that are merged, and the values that count as unknown.

    Attributes:
        entity: name of the entity.
        units: columns that are taken from one record together; the first decides.
        default_countries: source -> country of all its people, because it maps no country; a known one precedes it.
    """

    entity: str
    units: tuple[tuple[str, ...], ...]
    default_countries: Mapping[str, str]

    @classmethod
    def of(cls, entity: str, sources: Mapping[str, Source], rules: QualityRules) -> "Survivorship":
        """Merged columns of an entity; none if each key comes from one source with one row per record."""
        feeds = [(source, source.feeds[entity]) for source in sources.values() if entity in source.feeds]
        systems = [source.system for source, _ in feeds]
        is_merged = len(systems) > len(set(systems)) or any(feed.one_row_per_key for _, feed in feeds)
        contract = ENTITIES[entity]
        envelope = {column.name for column in SILVER_ENVELOPE}
        names = [c.name for c in contract.columns if not c.is_required and c.name not in {*contract.grain, *envelope}]
        derived = {name for unit in _TOGETHER for name in unit[1:] if unit[0] in names}
        units = [
            next((tuple(n for n in unit if n in names) for unit in _TOGETHER if unit[0] == name), (name,))
            for name in names
            if name not in derived and rules.survivorship.get(f"{entity}.{name}") != "latest"
        ]
        countries = {s.name: s.country for s, feed in feeds if s.country and "country" not in feed.columns}
        return cls(entity, tuple(units) if is_merged else (), countries if entity == "person" else {})

    @property
    def columns(self) -> list[str]:
        """All merged columns."""
        return [name for unit in self.units for name in unit]

    def contributions(self, silver: DataFrame) -> DataFrame:
        """Rows of silver as they were before merging, plus a row for each value taken from another record.

        Adds `_is_origin`, true for the latter.
        """
        if not self.units:
            return silver.withColumn(IS_ORIGIN, F.lit(False))
        taken = F.coalesce(F.col(f"{MERGED_FROM}.column"), F.array().cast("array<string>"))
        own = {
            name: F.when(~F.array_contains(taken, unit[0]), F.col(name)).alias(name)
            for unit in self.units
            for name in unit
        }
        kept = silver.withColumns(own).withColumn(IS_ORIGIN, F.lit(False))
        exploded = silver.where(F.col(MERGED_FROM).isNotNull()).withColumn("_origin", F.explode(MERGED_FROM))
        values = {name: F.when(F.col("_origin.column") == unit[0], F.col(name)) for unit in self.units for name in unit}
        lineage = {name: F.col(f"_origin.{name}") for name in _ORIGIN}
        origins = exploded.withColumns(values | lineage).withColumn(IS_ORIGIN, F.lit(True)).drop("_origin")
        return kept.unionByName(origins)

    def chosen(self, whole: WindowSpec) -> list[Column]:
        """First known value of each unit with its origin, over an ordered window of the records of a key."""
        return [
            F.first(
                F.when(
                    self._is_known(unit[0]),
                    F.struct(*(F.col(name) for name in (*unit, *(n for n in _ORIGIN if n not in unit)))),
                ),
                ignorenulls=True,
            )
            .over(whole)
            .alias(_chosen(unit))
            for unit in self.units
        ]

    def kept(self) -> Column:
        """Merged columns and `merged_from` of a kept row, from the columns of `chosen`."""
        merged, origins = [], []
        for unit in self.units:
            chosen = F.col(_chosen(unit))
            is_taken = chosen.isNotNull() & (chosen["row_id"] != F.col("row_id"))
            for name in unit:
                value = F.when(is_taken, chosen[name]).otherwise(F.col(name))
                merged.append((self._or_default(value) if name == "country" else value).alias(name))
            lineage = [chosen[name].alias(name) for name in _ORIGIN]
            origins.append(F.when(is_taken, F.array(F.struct(F.lit(unit[0]).alias("column"), *lineage))))
        nothing = F.array().cast(ORIGINS)
        taken = F.array_sort(F.concat(*(F.coalesce(origin, nothing) for origin in origins)))
        return F.struct(*merged, F.when(F.size(taken) > 0, taken).cast(ORIGINS).alias(MERGED_FROM))

    @property
    def helpers(self) -> list[str]:
        """Names of the columns of `chosen`."""
        return [_chosen(unit) for unit in self.units]

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
    if not survivorship.units:
        return rows
    is_kept = F.col(KEPT).isNotNull()
    merged = [*survivorship.columns, MERGED_FROM]
    return rows.withColumns({n: F.when(is_kept, F.col(f"{KEPT}.{n}")).otherwise(F.col(n)) for n in merged})


def _chosen(unit: Sequence[str]) -> str:
    return f"_chosen_{unit[0]}"
