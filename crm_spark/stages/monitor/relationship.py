"""Customer metrics: activity, revenue, retention, satisfaction and campaign response."""

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.models.metrics import Measure

OBSERVED = "observed"
"""Model name of measured figures in ops.metric."""


def activity_measures(features: DataFrame, *, newest: date, before: date | None, currency: str) -> list[Measure]:
    """Return customers, active customers, revenue, tickets and satisfaction at the newest snapshot, and retention.

    Args:
        features: features.customer; `recent` features cover the horizon that ends with the snapshot.
        newest: as_of of the newest snapshot.
        before: as_of of the snapshot one horizon earlier; None if there is none.
        currency: reporting currency.
    """
    snapshot = features.where(F.col("as_of") == F.lit(newest))
    row = snapshot.agg(
        F.count(F.lit(1)).alias("customers"),
        F.count(F.when(F.col("num_orders_recent") > 0, 1)).alias("active"),
        F.sum("monetary_recent").alias("revenue"),
        F.avg("mean_satisfaction").alias("satisfaction"),
        F.count("mean_satisfaction").alias("num_satisfaction"),
        F.sum("num_tickets_recent").alias("tickets"),
    ).first()
    assert row is not None
    num_customers = int(row["customers"])
    measures = [
        Measure("customers", OBSERVED, num_customers, "customers", num_customers),
        Measure("active_customers", OBSERVED, row["active"], "customers", num_customers),
        Measure("revenue_recent", OBSERVED, row["revenue"] or 0.0, currency, num_customers),
        Measure("tickets_recent", OBSERVED, row["tickets"] or 0, "tickets", num_customers),
    ]
    if row["num_satisfaction"]:
        measures.append(Measure("satisfaction", OBSERVED, row["satisfaction"], "score", row["num_satisfaction"]))
    return measures + (retention(features, newest=newest, before=before, currency=currency) if before else [])


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
        F.sum("monetary_recent").alias("revenue"), F.count(F.lit(1)).alias("num_customers")
    )
    totals = previous.first()
    assert row is not None and totals is not None
    measures = [Measure("revenue_before", OBSERVED, totals["revenue"] or 0.0, currency, totals["num_customers"])]
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
