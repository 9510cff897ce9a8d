"""Customer metrics: activity, revenue, retention, satisfaction and campaign response."""

from datetime import date

from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from crm_spark.models.metrics import Measure

OBSERVED = "observed"
"""Model name of measured figures in ops.metric."""


def activity_measures(
    features: DataFrame,
    *,
    newest: date,
    before: date | None,
    currency: str,
    has_orders: bool = True,
    has_tickets: bool = True,
) -> list[Measure]:
    """Return customers, active customers, revenue, tickets and satisfaction at the newest snapshot, and retention.

    Figures that are unknown are left out, such as the revenue if no amount is known.

    Args:
        features: features.customer; `recent` features cover the horizon that ends with the snapshot.
        newest: as_of of the newest snapshot.
        before: as_of of the snapshot one horizon earlier; None if there is none.
        currency: reporting currency.
        has_orders: whether the company has orders of customers; without them, activity and revenue are unknown, not 0.
        has_tickets: whether it has tickets.
    """
    snapshot = features.where(F.col("as_of") == F.lit(newest))
    row = snapshot.agg(
        F.count(F.lit(1)).alias("customers"),
        F.count(F.when(F.col("num_orders_recent") > 0, 1)).alias("active"),
        F.sum("monetary_recent").alias("revenue"),
        *_revenue_is_known(),
        F.avg("mean_satisfaction").alias("satisfaction"),
        F.count("mean_satisfaction").alias("num_satisfaction"),
        F.sum("num_tickets_recent").alias("tickets"),
    ).first()
    assert row is not None
    num_customers = int(row["customers"])
    measures = [Measure("customers", OBSERVED, num_customers, "customers", num_customers)]
    if has_orders:
        measures.append(Measure("active_customers", OBSERVED, row["active"], "customers", num_customers))
    if has_orders and _is_known(row):
        measures.append(Measure("revenue_recent", OBSERVED, row["revenue"] or 0.0, currency, num_customers))
    if has_tickets:
        measures.append(Measure("tickets_recent", OBSERVED, row["tickets"], "tickets", num_customers))
    if row["num_satisfaction"]:
        measures.append(Measure("satisfaction", OBSERVED, row["satisfaction"], "score", row["num_satisfaction"]))
    if before and has_orders:
        measures += retention(features, newest=newest, before=before, currency=currency)
    return measures


def _revenue_is_known() -> list[Column]:
    has_bought = F.col("num_orders_recent") > 0
    return [
        F.count(F.when(has_bought, 1)).alias("num_buyers"),
        F.count(F.when(has_bought, F.col("monetary_recent"))).alias("num_known_revenues"),
    ]


def _is_known(row: Row) -> bool:
    """Return whether the revenue of at least one buyer is known, or nobody bought: then it is 0."""
    return bool(row["num_known_revenues"] or not row["num_buyers"])


def retention(features: DataFrame, *, newest: date, before: date, currency: str) -> list[Measure]:
    """Return the revenue of the previous horizon, and the fraction of its buyers who ordered again.

    Args: see `activity_measures`.
    """
    buyers = features.where((F.col("as_of") == F.lit(before)) & (F.col("num_orders_recent") > 0)).select("customer_id")
    current = features.where(F.col("as_of") == F.lit(newest)).select("customer_id", "num_orders_recent")
    row = (
        buyers.join(current, "customer_id")
        .agg(
            F.count(F.lit(1)).alias("num_buyers"),
            F.avg((F.col("num_orders_recent") > 0).cast("double")).alias("retention"),
        )
        .first()
    )
    previous = features.where(F.col("as_of") == F.lit(before)).agg(
        F.sum("monetary_recent").alias("revenue"),
        F.count(F.lit(1)).alias("num_customers"),
        *_revenue_is_known(),
    )
    totals = previous.first()
    assert row is not None and totals is not None
    measures = []
    if _is_known(totals):
        measures.append(
            Measure("revenue_before", OBSERVED, totals["revenue"] or 0.0, currency, totals["num_customers"])
        )
    if row["num_buyers"]:
        measures.append(Measure("retention", OBSERVED, row["retention"], "fraction", row["num_buyers"]))
    return measures


def campaign_measures(contacts: DataFrame, responses: DataFrame) -> list[Measure]:
    """Return the response rates of contacted customers and of the hold-out, over all campaigns.

    Args:
        contacts: campaign_id, customer_id, is_holdout.
        responses: campaign_id, customer_id.
    """
    responded = responses.select("campaign_id", "customer_id").distinct().withColumn("has_responded", F.lit(1.0))
    # A customer with several CRM records counts once per campaign.
    targets = contacts.select("campaign_id", "customer_id", "is_holdout").distinct()
    outcomes = targets.join(responded, ["campaign_id", "customer_id"], "left")
    rates = outcomes.groupBy("is_holdout").agg(
        F.count(F.lit(1)).alias("num_customers"), F.avg(F.coalesce("has_responded", F.lit(0.0))).alias("rate")
    )
    return [
        Measure(
            "campaign_response",
            "holdout" if row["is_holdout"] else "contacted",
            row["rate"],
            "fraction",
            row["num_customers"],
            is_baseline=row["is_holdout"],
        )
        for row in rates.collect()
    ]
