"""Pairs of records for review by a person, with the comparison in words, and what the answers tell of the quality."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from math import sqrt

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from crm_spark.contracts.gold import IDENTITY_REVIEW
from crm_spark.stages.resolve.decision_files import APART, LINKED, Decision

OPEN, REOPENED = "open", "reopened"
_KEYS = ("record_key_l", "record_key_r")
_MANY_BITS = 7.0
"""Weight from which on an equal value is called rare: 128 times as likely among records of one person."""
_NAMES = {
    "given_key": "given name",
    "birth_digits": "birth date",
    "birth_on": "birth date",
    "email_match": "e-mail",
}
_NAME_COLUMNS = ("given_key", "family_name")
_Z = 1.959964
"""Quantile of the normal distribution for 95 % intervals."""


def pairs_for_review(
    pairs: DataFrame,
    links: DataFrame,
    records: DataFrame,
    *,
    low: float,
    high: float,
    max_pairs: int,
    decided: DataFrame | None = None,
) -> DataFrame:
    """Rows of `gold.identity_review`. Grain: pair of records.

    Of two customers, or within one, a single pair is asked for: its answer usually settles the others. Pairs with a probability
    next to 0.5 are kept if there are more than `max_pairs`.

    Args:
        pairs: record_key_l, record_key_r, match_probability, weights (column -> match weight in bits) of compared pairs.
        links: record_key, customer_id of every record.
        records: record_key and the compared columns.
        low: lowest match probability.
        high: highest match probability.
        max_pairs: maximum number of rows.
        decided: record_key_l, record_key_r, is_same of decided pairs, which are left out; null: the decision does not apply.
    """
    band = pairs.where(F.col("match_probability").between(low, high)).withColumn("status", F.lit(OPEN))
    if decided is not None:
        before = decided.select(*_KEYS, "is_same", F.lit(True).alias("_was_decided"))
        band = band.join(before, list(_KEYS), "left").where("is_same IS NULL")
        band = band.withColumn("status", F.when(F.col("_was_decided"), REOPENED).otherwise(OPEN))
    for end, key, customer in (("l", "record_key_l", "customer_id"), ("r", "record_key_r", "other_customer_id")):
        named = links.select(F.col("record_key").alias(f"record_key_{end}"), F.col("customer_id").alias(customer))
        band = band.join(named, key)
    both = (F.least("customer_id", "other_customer_id"), F.greatest("customer_id", "other_customer_id"))
    first = Window.partitionBy(*both).orderBy(_doubt(), *_KEYS)
    asked = band.withColumn("_rank", F.row_number().over(first)).where("_rank = 1")
    asked = asked.orderBy(_doubt(), *_KEYS).limit(max_pairs)
    left, right = (_values(records, end) for end in ("l", "r"))
    compared = asked.join(left, "record_key_l", "left").join(right, "record_key_r", "left")
    columns = [name for name in records.columns if name != "record_key"]
    rows = compared.withColumn("evidence", evidence(columns)).withColumn(
        "is_one_customer", F.col("customer_id") == F.col("other_customer_id")
    )
    return rows.select(
        *_ids("record_key_l", "system", "person_id"),
        *_ids("record_key_r", "other_system", "other_person_id"),
        *IDENTITY_REVIEW.column_names[4:],
    )


def _doubt() -> Column:
    return F.abs(F.col("match_probability") - 0.5)


def _values(records: DataFrame, end: str) -> DataFrame:
    return records.select(
        F.col("record_key").alias(f"record_key_{end}"),
        F.struct(*(name for name in records.columns if name != "record_key")).alias(end),
    )


def _ids(key: str, system: str, person_id: str) -> tuple[Column, Column]:
    """The parts of `system|person_id`; the id may contain the separator."""
    return (
        F.substring_index(key, "|", 1).alias(system),
        F.expr(f"substring({key}, instr({key}, '|') + 1)").alias(person_id),
    )


def evidence(columns: Sequence[str]) -> Column:
    """Comparison in words and weight of each column that has one; strongest first.

    Expects `weights`, and the values of the records in the structs `l` and `r`.
    """
    compared = [
        F.when(
            weight.isNotNull(),
            F.struct(
                (-F.abs(weight)).alias("order"),
                F.lit(label(column)).alias("column"),
                in_words(column, columns, weight).alias("comparison"),
                weight.cast("double").alias("bits"),
            ),
        )
        for column in columns
        for weight in (F.try_element_at("weights", F.lit(column)),)
    ]
    ordered = F.array_sort(F.array_compact(F.array(*compared)))
    return F.transform(ordered, lambda e: F.struct(e["column"], e["comparison"], e["bits"]))


def in_words(column: str, columns: Sequence[str], weight: Column) -> Column:
    """How the two values of a column differ, without the values."""
    left, right = F.col("l")[column], F.col("r")[column]
    characters = F.when(left.rlike("^[+0-9]+$") & right.rlike("^[+0-9]+$"), "digit").otherwise("character")
    same_letters = F.array_sort(F.split(left, "")) == F.array_sort(F.split(right, ""))
    distance = F.levenshtein(left, right)
    initial = (F.least(F.length(left), F.length(right)) == 1) & (F.substring(left, 1, 1) == F.substring(right, 1, 1))
    words = F.arrays_overlap(F.split(left, "[ @]"), F.split(right, "[ @]"))
    others = [other for other in _NAME_COLUMNS if other in columns and other != column and column in _NAME_COLUMNS]
    elsewhere = [(left == F.col("r")[other]) | (right == F.col("l")[other]) for other in others]
    in_another = reduce(Column.__or__, (F.coalesce(each, F.lit(False)) for each in elsewhere), F.lit(False))
    return (
        F.when(left.isNull() | right.isNull(), "missing")
        .when((left == right) & (weight >= _MANY_BITS), "same rare value")
        .when(left == right, "same")
        .when(in_another, "in the place of another name")
        .when(initial, "initial")
        .when(distance == 1, F.concat(F.lit("one "), characters, F.lit(" differs")))
        .when(same_letters, F.concat(F.lit("the same "), characters, F.lit("s in another order")))
        .when((distance == 2) & (F.length(left) > 4), F.concat(F.lit("two "), characters, F.lit("s differ")))
        .when(words, "a word in common")
        .otherwise("differs")
    )


def label(column: str) -> str:
    """Name of a column for readers."""
    return _NAMES.get(column, column.removeprefix("attribute_").replace("_", " "))


def sentence(found: Iterable[tuple[str, str, float]]) -> str:
    """Evidence as text: `given name: same rare value (+9 bits); birth date: one digit differs (+4)`.

    Args:
        found: column, comparison, bits.
    """
    parts: list[str] = []
    for column, comparison, bits in found:
        unit = "" if parts else " bits"
        parts.append(f"{column}: {comparison} ({bits:+.0f}{unit})")
    return "; ".join(parts)


@dataclass(frozen=True)
class Estimate:
    """A fraction estimated from labels, with its 95 % interval.

    Attributes:
        value: the estimate.
        low: lower bound.
        high: upper bound.
        num_labels: labels from which it is estimated.
    """

    value: float
    low: float
    high: float
    num_labels: int


@dataclass(frozen=True)
class Quality:
    """What labels of a random sample tell of the linkage.

    Attributes:
        precision: fraction of the links that are right.
        recall: fraction of the right links among the compared pairs that were made; None if it cannot be estimated.
    """

    precision: Estimate
    recall: Estimate | None = None


def wilson(num_hits: int, num_labels: int) -> Estimate:
    """Estimate a fraction with the interval of Wilson, which holds for few labels and for fractions next to 0 and 1."""
    if not 0 <= num_hits <= num_labels or not num_labels:
        raise ValueError(f"wilson: expected 0 <= hits <= labels and labels > 0, got {num_hits} of {num_labels}")
    p, z2 = num_hits / num_labels, _Z**2 / num_labels
    centre = (p + z2 / 2) / (1 + z2)
    half = _Z / (1 + z2) * sqrt(p * (1 - p) / num_labels + z2 / (4 * num_labels))
    return Estimate(p, max(0.0, centre - half), min(1.0, centre + half), num_labels)


def quality_from(
    decisions: Iterable[Decision], *, num_links: int | None = None, num_apart: int | None = None
) -> Quality | None:
    """Estimate the quality of the links from the decisions on random samples; None without such decisions.

    Args:
        decisions: decisions; those without a sample are ignored, because they are about the difficult pairs.
        num_links: number of links: records minus customers.
        num_apart: number of compared pairs of two customers each, from which the sample of these was drawn; the recall is
            estimated if both numbers are given. Pairs that were not compared are not part of it.
    """
    drawn = [d for d in decisions if d.sample is not None and d.is_same is not None]
    linked = [d.is_same for d in drawn if d.sample == LINKED]
    apart = [d.is_same for d in drawn if d.sample == APART]
    if not linked:
        return None
    precision = wilson(sum(map(bool, linked)), len(linked))
    if not apart or not num_links or num_apart is None:
        return Quality(precision)
    missed = wilson(sum(map(bool, apart)), len(apart))

    def recall(right: float, wrong: float) -> float:
        made, lost = num_links * right, num_apart * wrong
        return made / (made + lost) if made + lost else 1.0

    # Each bound combines the unfavourable bounds of both fractions: the interval is rather too wide.
    return Quality(
        precision,
        Estimate(
            recall(precision.value, missed.value),
            recall(precision.low, missed.high),
            recall(precision.high, missed.low),
            len(drawn),
        ),
    )
