"""Count shared person, order and product ids between sources."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from crm_spark.contracts.bronze_columns import decoded

_LONGEST = 200


@dataclass(frozen=True)
class IdColumn:
    """Column with ids of one kind in one source.

    Attributes:
        source: source name.
        kind: person_id, order_id or product_id.
        column: column name in the source.
        num_ids: number of distinct ids.
        min_id: minimum, if all ids are integers.
        max_id: maximum, if all ids are integers.
    """

    source: str
    kind: str
    column: str
    num_ids: int
    min_id: float | None = None
    max_id: float | None = None

    @property
    def density(self) -> float:
        """Fraction of the integers between minimum and maximum that occur; 0 for non-numeric ids."""
        if self.min_id is None or self.max_id is None:
            return 0.0
        # `7` and `007` are different ids of one integer.
        return min(1.0, self.num_ids / (self.max_id - self.min_id + 1))


@dataclass(frozen=True)
class Overlap:
    """Overlap of the ids of one kind in two sources.

    Attributes:
        smaller: source with fewer ids.
        larger: source with more ids.
        num_shared: number of ids in both.
        num_with_email: number of shared persons with an e-mail in both sources.
        num_same_email: number of these with the same e-mail.
    """

    smaller: IdColumn
    larger: IdColumn
    num_shared: int
    num_with_email: int = 0
    num_same_email: int = 0

    @property
    def share(self) -> float:
        """Fraction of the smaller source's ids that are in the larger one."""
        return self.num_shared / max(self.smaller.num_ids, 1)


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
    all_ids = reduce(DataFrame.unionByName, frames)
    ids = all_ids.groupBy("source", "kind", "column", "value").agg(F.min("email").alias("email")).cache()
    try:
        number = F.when(F.col("value").rlike(r"^\d{1,15}$"), F.col("value").cast("double"))
        sums = ids.groupBy("source", "kind", "column").agg(
            F.count("value").alias("num_ids"),
            F.count(number).alias("num_numeric"),
            F.min(number).alias("min_id"),
            F.max(number).alias("max_id"),
        )
        columns_by_source = {
            (row["source"], row["kind"]): IdColumn(
                row["source"],
                row["kind"],
                row["column"],
                row["num_ids"],
                *((row["min_id"], row["max_id"]) if row["num_numeric"] == row["num_ids"] else ()),
            )
            for row in sums.collect()
        }
        a, b = ids.alias("a"), ids.alias("b")
        is_pair = (F.col("a.kind") == F.col("b.kind")) & (F.col("a.value") == F.col("b.value"))
        both = a.join(b, is_pair & (F.col("a.source") < F.col("b.source")))
        is_same = F.col("a.email") == F.col("b.email")
        shared = both.groupBy(
            F.col("a.source").alias("left"), F.col("b.source").alias("right"), F.col("a.kind").alias("kind")
        ).agg(
            F.count(F.lit(1)).alias("num_shared"),
            F.count(is_same).alias("num_with_email"),  # count() skips null: both e-mails are known
            F.count_if(is_same).alias("num_same_email"),
        )
        return [
            _overlap(columns_by_source[row["left"], row["kind"]], columns_by_source[row["right"], row["kind"]], row)
            for row in shared.collect()
        ]
    finally:
        ids.unpersist()


def _overlap(left: IdColumn, right: IdColumn, row: Row) -> Overlap:
    smaller, larger = sorted((left, right), key=lambda column: column.num_ids)
    return Overlap(smaller, larger, row["num_shared"], row["num_with_email"], row["num_same_email"])
