"""Training examples: features of one snapshot with the outcome in the next."""

from collections.abc import Sequence
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.features import FEATURE_COLUMNS
from crm_spark.core.parallelism import num_tasks
from crm_spark.customers.business import INACTIVITY, ChurnKind, is_predictable

INPUTS = tuple(column.name for column in FEATURE_COLUMNS)
"""Inputs of every company; declared features come after them."""
_OTHERS = ("customer_id", "as_of", "has_lapsed", "revenue")
"""Columns of examples that are not inputs: keys and labels."""


def inputs_in(examples: DataFrame) -> tuple[str, ...]:
    """Model inputs among the columns of examples or customers, in order."""
    return tuple(name for name in examples.columns if name not in _OTHERS)


def predictable(
    features: DataFrame, day: date, declared: Sequence[str] = (), *, churn: ChurnKind = INACTIVITY
) -> DataFrame:
    """Grain: customer_id. Model inputs of the customers who could be lost on `day`; null becomes NaN.

    Args:
        features: features.customer, with a column per declared feature.
        day: snapshot.
        declared: names of declared features.
        churn: what the company loses a customer by.
    """
    nan = F.lit(float("nan"))
    inputs = [F.coalesce(F.col(name).cast("double"), nan).alias(name) for name in (*INPUTS, *declared)]
    frame = features.where((F.col("as_of") == F.lit(day)) & is_predictable(churn)).select(
        "customer_id", "as_of", *inputs
    )
    # A fixed row order makes the sums of gradients, and thus the trees, reproducible.
    return frame.repartition(num_tasks(features.sparkSession), "customer_id").sortWithinPartitions("customer_id")


def labelled(
    features: DataFrame,
    labels: Sequence[Column],
    *,
    features_on: date,
    outcome_on: date,
    declared: Sequence[str] = (),
    churn: ChurnKind = INACTIVITY,
) -> DataFrame:
    """Grain: customer_id. Inputs of one snapshot with the labels, columns of the snapshot one horizon later."""
    later = features.where(F.col("as_of") == F.lit(outcome_on)).select("customer_id", *labels)
    frame = predictable(features, features_on, declared, churn=churn).join(later, "customer_id")
    return frame.repartition(num_tasks(features.sparkSession), "customer_id").sortWithinPartitions("customer_id")
