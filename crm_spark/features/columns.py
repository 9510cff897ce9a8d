"""Declared features as one column of a table, and as columns of a frame."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.types import NAMED_NUMBERS

DECLARED = "declared"
"""Column of features.customer with the declared features."""


def packed_features(names: Sequence[str]) -> Column:
    """Array of the named columns' values, sorted by name; unknown values are left out. Null without names."""
    if not names:
        return F.lit(None).cast(NAMED_NUMBERS)
    pairs = [
        F.when(F.col(n).isNotNull(), F.struct(F.lit(n).alias("name"), F.col(n).alias("value"))) for n in sorted(names)
    ]
    return F.filter(F.array(*pairs), lambda pair: pair.isNotNull()).cast(NAMED_NUMBERS)


def with_declared(features: DataFrame, names: Sequence[str]) -> DataFrame:
    """Grain unchanged. Adds a column for each declared feature; null where it is unknown."""
    if not names:
        return features
    by_name = F.map_from_entries(F.coalesce(DECLARED, F.array().cast(NAMED_NUMBERS)))
    rows = features.withColumn("_by_name", by_name)
    return rows.withColumns({name: F.try_element_at("_by_name", F.lit(name)) for name in names}).drop("_by_name")
