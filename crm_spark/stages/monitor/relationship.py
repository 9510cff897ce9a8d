"""Customer relationship metrics: retention, revenue, satisfaction, campaign response."""

from datetime import date

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.models.metrics import Measure

OBSERVED = "observed"


def activity_measures(features: DataFrame, *, newest: date, before: date | None, currency: str) -> list[Measure]:
    """Return active customers, revenue, satisfaction, tickets of the newest horizon, and retention from the previous one."""
    now = features.where(F.col("as_of") == F.lit(newest))
    row = now.agg(
        F.count(F.lit(1)).alias("customers"),
        F.count(F.when(F.col("num_orders_recent") > 0, 1)).alias("active"),
        F.sum("monetary_recent").alias("revenue"),
        F.avg("mean_satisfaction").alias("satisfaction"),
        F.count("mean_satisfaction").alias("num_satisfaction"),
        F.sum("num_tickets_recent").alias("tickets"),
    ).first()
    assert row is not None
    num = int(row["customers"])
    measures = [
        Measure("customers", OBSERVED, num, "customers", num),
        Measure("active_customers", OBSERVED, row["active"], "customers", num),
        Measure("revenue_recent", OBSERVED, row["revenue"] or 0.0, currency, num),
        Measure("tickets_recent", OBSERVED, row["tickets"] or 0, "tickets", num),
    ]
    if row["num_satisfaction"]:
        measures.append(Measure("satisfaction", OBSERVED, row["satisfaction"], "score", row["num_satisfaction"]))
    return measures + (retention(features, newest=newest, before=before, currency=currency) if before else [])


def retention(features: DataFrame, *, newest: date, before: date, currency: str) -> list[Measure]:
    """Return the revenue of the previous horizon and the fraction of its customers who ordered in the newest horizon."""
    then = features.where((F.col("as_of") == F.lit(before)) & (F.col("num_orders_recent") > 0)).select("customer_id")
    now = features.where(F.col("as_of") == F.lit(newest)).select("customer_id", "num_orders_recent")
    row = (
        then.join(now, "customer_id")
        .agg(F.count(F.lit(1)).alias("n"), F.avg((F.col("num_orders_recent") > 0).cast("double")).alias("kept"))
        .first()
    )
    past = features.where(F.col("as_of") == F.lit(before)).agg(F.sum("monetary_recent"), F.count(F.lit(1))).first()
    assert row is not None and past is not None
    measures = [Measure("revenue_before", OBSERVED, past[0] or 0.0, currency, past[1])]
    if row["n"]:
        measures.append(Measure("retention", OBSERVED, row["kept"], "fraction", row["n"]))
    return measures


def campaign_measures(contacts: DataFrame, responses: DataFrame) -> list[Measure]:
    """Return the response rate of contacted customers and of the hold-out over all campaigns.

    Args:
        contacts: campaign_id, customer_id, is_holdout.
        responses: campaign_id, customer_id.
    """
    responded = responses.select("campaign_id", "customer_id").distinct().withColumn("has_responded", F.lit(1.0))
    # A customer with several CRM records counts once per campaign.
    targets = contacts.select("campaign_id", "customer_id", "is_holdout").distinct()
    outcomes = targets.join(responded, ["campaign_id", "customer_id"], "left")
    rates = outcomes.groupBy("is_holdout").agg(
        F.count(F.lit(1)).alias("n"), F.avg(F.coalesce("has_responded", F.lit(0.0))).alias("rate")
    )
    names = {False: ("contacted", False), True: ("holdout", True)}
    return [
        Measure(
            "campaign_response",
            names[r["is_holdout"]][0],
            r["rate"],
            "fraction",
            r["n"],
            is_baseline=names[r["is_holdout"]][1],
        )
        for r in rates.collect()
    ]
