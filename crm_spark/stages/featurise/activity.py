"""Customer activity by customer id: the input frames of all features."""

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.gold import CUSTOMER
from crm_spark.contracts.silver import CAMPAIGN_CONTACT, CAMPAIGN_RESPONSE, FEEDBACK, INTERACTION, ORDER, ORDER_LINE
from crm_spark.core.days import day_of
from crm_spark.core.tables import TableStore
from crm_spark.customers.links import with_customer_id

SATISFACTION = {"recommends": 1.0, "no_clear_opinion": 0.0, "does_not_recommend": -1.0}


@dataclass(frozen=True)
class Activity:
    """Events of customers; each frame has customer_id and `happened_on`."""

    customers: DataFrame
    """customer_id, joined_on."""
    orders: DataFrame
    """Grain: order. status, channel, revenue (reporting currency; null unless completed and with an amount)."""
    lines: DataFrame
    """Grain: completed order line. product, null if the line has none."""
    returned_lines: DataFrame
    """Grain: returned line of a completed order."""
    interactions: DataFrame
    feedback: DataFrame
    contacts: DataFrame
    responses: DataFrame


def activity(tables: TableStore, zone: str) -> Activity:
    """Read the frames with days in an IANA time zone; records without a customer are left out."""
    orders = _events(tables, zone, tables.read(ORDER), "ordered_at").select(
        "system", "order_id", "customer_id", "happened_on", "status", "channel"
    )
    sold = tables.read(ORDER_LINE).where(~F.col("is_return"))
    # An order of which every line was returned has a revenue of 0; the revenue of an order without lines is unknown.
    amount = F.when(F.col("is_return"), F.lit(0)).otherwise(F.col("amount"))
    revenue = tables.read(ORDER_LINE).groupBy("system", "order_id").agg(F.sum(amount).cast("double").alias("revenue"))
    is_completed = F.col("status") == "completed"
    with_revenue = orders.join(revenue, ["system", "order_id"], "left").withColumn(
        "revenue", F.when(is_completed, F.col("revenue"))
    )
    lines = sold.join(orders.where(is_completed), ["system", "order_id"]).select(
        "customer_id",
        "happened_on",
        # A line without a product counts as sold, but not as a product.
        F.when(F.col("product_id").isNotNull(), F.concat_ws("|", "system", "product_id")).alias("product"),
    )
    returned = tables.read(ORDER_LINE).where("is_return").select("system", "order_id")
    return Activity(
        customers=tables.read(CUSTOMER).select("customer_id", day_of("joined_at", zone).alias("joined_on")),
        orders=with_revenue,
        lines=lines,
        returned_lines=returned.join(orders.where(is_completed), ["system", "order_id"]).select(
            "customer_id", "happened_on"
        ),
        interactions=_events(tables, zone, tables.read(INTERACTION), "happened_at").select(
            "customer_id", "happened_on", "kind"
        ),
        feedback=_events(tables, zone, tables.read(FEEDBACK), "given_at").select("customer_id", "happened_on", "label"),
        contacts=_events(
            tables, zone, tables.read(CAMPAIGN_CONTACT).where(~F.col("is_holdout")), "contacted_at"
        ).select("customer_id", "happened_on"),
        responses=_events(tables, zone, tables.read(CAMPAIGN_RESPONSE), "responded_at").select(
            "customer_id", "happened_on"
        ),
    )


def _events(tables: TableStore, zone: str, records: DataFrame, time: str) -> DataFrame:
    return with_customer_id(records, tables).withColumn("happened_on", day_of(time, zone))
