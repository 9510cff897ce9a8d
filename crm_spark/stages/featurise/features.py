"""Customer features in groups that share a pass over their events. Grain of each group: customer_id x as_of.

To add a feature, add a column here and in the contract features.customer.
"""

from collections.abc import Callable, Sequence
from datetime import date, timedelta

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.features import FEATURE_COLUMNS
from crm_spark.contracts.sales import RETURN_STATUSES, SALE_STATUSES
from crm_spark.stages.featurise.activity import REVENUE, SATISFACTION, Activity

Group = Callable[[Activity, list[date], int], DataFrame]
GROUPS: list[Group] = []
KEY = ("customer_id", "as_of")


def group(function: Group) -> Group:
    """Register a feature group."""
    GROUPS.append(function)
    return function


def as_of_snapshots(events: DataFrame, snapshots: Sequence[date]) -> DataFrame:
    """Return each event once per snapshot on or after it; `days_ago`: days from event to snapshot."""
    days = F.array(*(F.lit(day) for day in snapshots))
    repeated = events.withColumn("as_of", F.explode(days)).where(F.col("happened_on") <= F.col("as_of"))
    return repeated.withColumn("days_ago", F.datediff("as_of", "happened_on"))


def _count(condition: Column) -> Column:
    return F.count(F.when(condition, 1)).cast("int")


def _recent(horizon_days: int) -> Column:
    return F.col("days_ago") < horizon_days


def _is_sale() -> Column:
    """Whether an order counts as a sale in a snapshot: it does until its cancellation or return, if their day is known."""
    is_withdrawn_later = F.coalesce(F.col("withdrawn_on") > F.col("as_of"), F.lit(False))
    is_sale = F.col("status").isin(*SALE_STATUSES)
    return is_sale | (F.col("status").isin(*RETURN_STATUSES) & is_withdrawn_later)


@group
def orders(activity: Activity, snapshots: list[date], horizon_days: int) -> DataFrame:
    """RFM, cadence, returns, channels."""
    is_sale, recent = _is_sale(), _recent(horizon_days)
    is_withdrawn = F.col("status").isin(*RETURN_STATUSES) & ~is_sale
    of_sales = F.when(is_sale, F.col("revenue"))
    revenue = F.when(is_sale | (F.col("status") == REVENUE), F.col("revenue"))
    features = (
        as_of_snapshots(activity.orders, snapshots)
        .groupBy(*KEY)
        .agg(
            F.min(F.when(is_sale, F.col("days_ago"))).cast("int").alias("recency_days"),
            F.max(F.when(is_sale, F.col("days_ago"))).alias("_first_days_ago"),
            _count(is_sale).alias("num_orders"),
            _count(is_sale & recent).alias("num_orders_recent"),
            F.sum(revenue).alias("monetary"),
            F.sum(F.when(recent, revenue)).alias("monetary_recent"),
            F.avg(of_sales).alias("mean_order_value"),
            _count(is_withdrawn).alias("_num_returned_orders"),
            F.count_distinct(F.when(is_sale, F.col("channel"))).cast("int").alias("num_channels"),
        )
    )
    returned = (
        as_of_snapshots(activity.returned_lines, snapshots)
        .where(_is_sale())
        .groupBy(*KEY)
        .agg(_count(F.lit(True)).alias("_num_returned_lines"))
    )
    features = features.join(returned, list(KEY), "left")
    num_returns = F.col("_num_returned_orders") + F.coalesce("_num_returned_lines", F.lit(0))
    gaps = F.col("num_orders") - 1
    cadence = F.when(gaps > 0, (F.col("_first_days_ago") - F.col("recency_days")) / gaps)
    return (
        features.withColumn("num_returns", num_returns.cast("int"))
        .withColumn("cadence_days", cadence)
        .withColumn("lateness", F.when(F.col("cadence_days") > 0, F.col("recency_days") / F.col("cadence_days")))
        .withColumn("return_fraction", F.try_divide("num_returns", F.col("num_orders") + F.col("num_returns")))
    )


@group
def assortment(activity: Activity, snapshots: list[date], horizon_days: int) -> DataFrame:
    """Number of distinct products."""
    return (
        as_of_snapshots(activity.lines, snapshots)
        .where(_is_sale())
        .groupBy(*KEY)
        .agg(F.count_distinct("product").cast("int").alias("num_products"))
    )


@group
def support(activity: Activity, snapshots: list[date], horizon_days: int) -> DataFrame:
    """Support tickets and calls, website visits."""
    is_ticket, recent = F.col("kind").isin("ticket", "call"), _recent(horizon_days)
    return (
        as_of_snapshots(activity.interactions, snapshots)
        .groupBy(*KEY)
        .agg(
            _count(is_ticket).alias("num_tickets"),
            _count(is_ticket & recent).alias("num_tickets_recent"),
            _count((F.col("kind") == "web") & recent).alias("num_web_events_recent"),
        )
    )


@group
def satisfaction(activity: Activity, snapshots: list[date], horizon_days: int) -> DataFrame:
    """Satisfaction by label: 1 recommends, 0 no clear opinion, -1 does not recommend."""
    score = F.lit(None).cast("double")
    for label, value in SATISFACTION.items():
        score = F.when(F.col("label") == label, F.lit(value)).otherwise(score)
    scored = as_of_snapshots(activity.feedback, snapshots).withColumn("score", score)
    order = F.struct("happened_on", "score")
    return scored.groupBy(*KEY).agg(
        F.count(F.lit(1)).cast("int").alias("num_feedback"),
        F.avg("score").alias("mean_satisfaction"),
        F.max_by("score", F.when(F.col("score").isNotNull(), order)).alias("last_satisfaction"),
    )


@group
def campaigns(activity: Activity, snapshots: list[date], horizon_days: int) -> DataFrame:
    """Number of campaign contacts."""
    return (
        as_of_snapshots(activity.contacts, snapshots)
        .groupBy(*KEY)
        .agg(_count(F.lit(True)).alias("num_campaign_contacts"))
    )


@group
def responses(activity: Activity, snapshots: list[date], horizon_days: int) -> DataFrame:
    """Number of campaign responses."""
    return (
        as_of_snapshots(activity.responses, snapshots)
        .groupBy(*KEY)
        .agg(_count(F.lit(True)).alias("num_campaign_responses"))
    )


def _with_zero_revenue(features: DataFrame, *, has_own_revenue: bool) -> DataFrame:
    """Grain unchanged. Revenue is 0 without completed orders; with completed orders of unknown amount it stays null.

    `has_own_revenue`: revenue does not come from the orders, and is 0 for a customer without any.
    """
    for revenue, number in (("monetary", "num_orders"), ("monetary_recent", "num_orders_recent")):
        is_zero = F.lit(True) if has_own_revenue else F.coalesce(F.col(number), F.lit(0)) == 0
        features = features.withColumn(revenue, F.coalesce(F.col(revenue), F.when(is_zero, F.lit(0.0))))
    return features


def snapshot_days(as_of: date, *, num_snapshots: int, horizon_days: int) -> list[date]:
    """Return as_of and the days whole horizons before it, newest first."""
    return [as_of - timedelta(days=horizon_days * i) for i in range(num_snapshots)]


def features(activity: Activity, snapshots: list[date], *, horizon_days: int) -> DataFrame:
    """Grain: customer_id x as_of. All customers who joined by as_of; counts are 0, not null."""
    days = F.array(*(F.lit(day) for day in snapshots))
    base = activity.customers.withColumn("as_of", F.explode(days))
    base = base.where(F.col("joined_on").isNull() | (F.col("joined_on") <= F.col("as_of")))
    result = base.withColumn("tenure_days", F.datediff("as_of", "joined_on").cast("int"))
    for make in GROUPS:
        result = result.join(make(activity, snapshots, horizon_days), list(KEY), "left")
    result = _with_zero_revenue(result, has_own_revenue=activity.has_own_revenue)
    columns = [
        F.coalesce(F.col(c.name), F.lit(0).cast(c.type)).alias(c.name) if c.is_required else F.col(c.name).cast(c.type)
        for c in FEATURE_COLUMNS
    ]
    return result.select(*KEY, *columns)
