"""Examples for learning: what was known at one snapshot, and what the next one says happened."""

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.features import FEATURE_COLUMNS

INPUTS = tuple(column.name for column in FEATURE_COLUMNS)
_PARTITIONS = 4


def buyers(features: DataFrame, day: date) -> DataFrame:
    """Grain: customer_id. Customers who had ordered by the end of `day`, as the models take them: null as NaN."""
    nan = F.lit(float("nan"))
    inputs = [F.coalesce(F.col(name).cast("double"), nan).alias(name) for name in INPUTS]
    frame = features.where((F.col("as_of") == F.lit(day)) & (F.col("num_orders") > 0)).select(
        "customer_id", "as_of", *inputs
    )
    # Trees add up gradients in the order of rows: the same order every time gives the same trees.
    return frame.repartition(_PARTITIONS, "customer_id").sortWithinPartitions("customer_id")


def labelled(features: DataFrame, *, known: date, outcome: date) -> DataFrame:
    """Grain: customer_id. Buyers as known on one day with what the next snapshot, one horizon later, says of them.

    `has_lapsed`: no completed order in between. `revenue`: what they spent in between.
    """
    later = features.where(F.col("as_of") == F.lit(outcome)).select(
        "customer_id",
        (F.col("num_orders_recent") == 0).cast("int").alias("has_lapsed"),
        F.col("monetary_recent").alias("revenue"),
    )
    frame = buyers(features, known).join(later, "customer_id")
    return frame.repartition(_PARTITIONS, "customer_id").sortWithinPartitions("customer_id")
