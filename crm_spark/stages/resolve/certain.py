"""Pairs that rules decide: records with the same identifier, and the simple rules where no model can be trained."""

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.stages.resolve.average_link import ALWAYS
from crm_spark.stages.resolve.evidence import IDENTIFIER, Evidence

_RULES = (("email_match", "family_name"), ("given_key", "family_name", "birth_digits"))
"""Columns on which the records of one person agree, where too many of all pairs match to train a model."""


def rules_of(evidence: Sequence[Evidence]) -> list[tuple[str, ...]]:
    """Sets of columns on which only records of one person agree: identifiers, and the rules whose columns are evidence."""
    present = {e.column for e in evidence}
    return [*((e.column,) for e in evidence if e.kind == IDENTIFIER), *(r for r in _RULES if set(r) <= present)]


def by_identifiers(records: DataFrame, evidence: Sequence[Evidence]) -> DataFrame | None:
    """Pairs of records with the same value of an identifier; None without identifiers."""
    return _joined(records, [(e.column,) for e in evidence if e.kind == IDENTIFIER])


def by_rules(records: DataFrame, evidence: Sequence[Evidence]) -> DataFrame | None:
    """Pairs of records that agree on all columns of a rule; None if no rule applies."""
    return _joined(records, rules_of(evidence))


def _joined(records: DataFrame, rules: Sequence[tuple[str, ...]]) -> DataFrame | None:
    """Each record with the first record of its block, which connects the block. Grain: pair."""
    parts = [_first_of_block(records, rule) for rule in rules]
    return reduce(DataFrame.unionByName, parts).distinct() if parts else None


def _first_of_block(records: DataFrame, columns: tuple[str, ...]) -> DataFrame:
    known = records.where(F.concat(*columns).isNotNull()).select("record_key", *columns)
    first = known.groupBy(*columns).agg(F.min("record_key").alias("record_key_l"))
    pairs = known.withColumnRenamed("record_key", "record_key_r").join(first, list(columns))
    return pairs.where("record_key_l <> record_key_r").select(
        "record_key_l", "record_key_r", F.lit(ALWAYS).alias("support")
    )
