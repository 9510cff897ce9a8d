"""Count shared person, order and product ids between sources."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from crm_spark.contracts.bronze_columns import decoded

_LONGEST = 200


@dataclass(frozen=True)
class Ids:
    """Ids of one kind in one source.

    Attributes:
        source: source name.
        kind: person_id, order_id or product_id.
        column: column name in the source.
        num: number of distinct ids.
        low: minimum, if all ids are integers.
        high: maximum, if all ids are integers.
    """

    source: str
    kind: str
    column: str
    num: int
    low: float | None = None
    high: float | None = None

    @property
    def density(self) -> float:
        """Fraction of the integers between minimum and maximum that occur; 0 for non-numeric ids."""
        return 0.0 if self.low is None or self.high is None else self.num / (self.high - self.low + 1)


@dataclass(frozen=True)
class Overlap:
    """Overlap of the ids of one kind in two sources.

    Attributes:
        smaller: source with fewer ids.
        larger: source with more ids.
        num_shared: number of ids in both.
        num_emails: number of shared persons with an e-mail in both sources.
        num_same_email: number of these with the same e-mail.
    """

    smaller: Ids
    larger: Ids
    num_shared: int
    num_emails: int = 0
    num_same_email: int = 0

    @property
    def share(self) -> float:
        """Fraction of the smaller source's ids that are in the larger one."""
        return self.num_shared / max(self.smaller.num, 1)


def ids_in(records: DataFrame, source: str, columns: Mapping[str, str], email: str | None) -> DataFrame:
    """Distinct ids. Grain: source x kind x column x value x email. `columns`: kind -> column; `email`: e-mail column."""
    mail = F.nullif(F.lower(_cell(records, email)), F.lit("")) if email else F.lit(None).cast("string")
    structs = [
        F.struct(
            F.lit(kind).alias("kind"),
            F.lit(column).alias("column"),
            # Integers exported as decimals (17850.0) are the same id.
            F.substring(F.regexp_replace(_cell(records, column), r"^(\d+)\.0$", "$1"), 1, _LONGEST).alias("value"),
            (mail if kind == "person_id" else F.lit(None).cast("string")).alias("email"),
        )
        for kind, column in columns.items()
    ]
    ids = records.select(F.lit(source).alias("source"), F.explode(F.array(*structs)).alias("id")).select(
        "source", "id.*"
    )
    return ids.where("value <> ''").distinct()


def _cell(records: DataFrame, name: str) -> Column:
    return F.trim(F.col(next(f"`{column}`" for column in records.columns if decoded(column) == name)))


def overlaps(frames: Iterable[DataFrame]) -> list[Overlap]:
    """Overlaps of all pairs of sources with shared ids, from frames of `ids_in`."""
    every = reduce(DataFrame.unionByName, frames)
    ids = every.groupBy("source", "kind", "column", "value").agg(F.min("email").alias("email")).cache()
    try:
        number = F.when(F.col("value").rlike(r"^\d{1,15}$"), F.col("value").cast("double"))
        sums = ids.groupBy("source", "kind", "column").agg(
            F.count("value").alias("n"),
            F.count(number).alias("m"),
            F.min(number).alias("low"),
            F.max(number).alias("high"),
        )
        known = {
            (row["source"], row["kind"]): Ids(
                row["source"],
                row["kind"],
                row["column"],
                row["n"],
                *((row["low"], row["high"]) if row["m"] == row["n"] else ()),
            )
            for row in sums.collect()
        }
        a, b = ids.alias("a"), ids.alias("b")
        is_pair = (F.col("a.kind") == F.col("b.kind")) & (F.col("a.value") == F.col("b.value"))
        both = a.join(b, is_pair & (F.col("a.source") < F.col("b.source")))
        is_same = F.col("a.email") == F.col("b.email")
        shared = both.groupBy(
            F.col("a.source").alias("x"), F.col("b.source").alias("y"), F.col("a.kind").alias("kind")
        ).agg(F.count(F.lit(1)).alias("n"), F.count(is_same).alias("emails"), F.count_if(is_same).alias("same"))
        return [_overlap(known[row["x"], row["kind"]], known[row["y"], row["kind"]], row) for row in shared.collect()]
    finally:
        ids.unpersist()


def _overlap(x: Ids, y: Ids, row: Row) -> Overlap:
    smaller, larger = sorted((x, y), key=lambda ids: ids.num)
    return Overlap(smaller, larger, row["n"], row["emails"], row["same"])
