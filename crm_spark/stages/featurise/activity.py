"""Customer activity by customer id: the input frames of all features."""

from dataclasses import dataclass

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.gold import CUSTOMER
from crm_spark.contracts.silver import CAMPAIGN_CONTACT, CAMPAIGN_RESPONSE, FEEDBACK, INTERACTION, ORDER, ORDER_LINE
from crm_spark.core.days import day_of
from crm_spark.core.tables import TableStore
from crm_spark.customers.links import with_customer_id

_OF_ORDER = ("customer_id", "happened_on", "status", "withdrawn_on")
SATISFACTION = {"recommends": 1.0, "no_clear_opinion": 0.0, "does_not_recommend": -1.0}


@dataclass(frozen=True)
class Activity:
    """Events of customers; each frame has customer_id and `happened_on`."""

    customers: DataFrame
    """customer_id, joined_on; without prospects."""
    orders: DataFrame
    """Grain: order. status, withdrawn_on (cancellation or return, if its day is known), channel, revenue (reporting currency;
    null without a known amount)."""
    lines: DataFrame
    """Grain: order line. status and withdrawn_on of the order; product, null if the line has none."""
    returned_lines: DataFrame
    """Grain: returned line of an order, with its status and withdrawn_on."""
    interactions: DataFrame
    feedback: DataFrame
    contacts: DataFrame
    responses: DataFrame


def activity(tables: TableStore, zone: str) -> Activity:
    """Read the frames with days in an IANA time zone; records without a customer are left out."""
    orders = _events(tables, zone, tables.read(ORDER), "ordered_at").withColumn(
        "withdrawn_on", day_of(F.coalesce("cancelled_at", "returned_at"), zone)
    )
    sold = tables.read(ORDER_LINE).where(~F.col("is_return"))
    with_revenue = _with_revenue(orders, tables.read(ORDER_LINE)).select(
        "customer_id", "happened_on", "status", "withdrawn_on", "channel", "revenue"
    )
    of_order = orders.select("system", "order_id", "customer_id", "happened_on", "status", "withdrawn_on")
    lines = sold.join(of_order, ["system", "order_id"]).select(
        *_OF_ORDER,
        # A line without a product counts as sold, but not as a product.
        F.when(F.col("product_id").isNotNull(), F.concat_ws("|", "system", "product_id")).alias("product"),
    )
    returned = tables.read(ORDER_LINE).where("is_return").select("system", "order_id")
    return Activity(
        customers=tables.read(CUSTOMER)
        .where(~F.coalesce("is_prospect", F.lit(False)))
        .select("customer_id", day_of("joined_at", zone).alias("joined_on")),
        orders=with_revenue,
        lines=lines,
        returned_lines=returned.join(of_order, ["system", "order_id"]).select(*_OF_ORDER),
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


def _with_revenue(orders: DataFrame, lines: DataFrame) -> DataFrame:
    """Grain: order. Adds revenue: amounts of the lines that were kept, less their share of the order's discount.

    The revenue of an order without lines is its total; that of an order of which every line was returned is 0.
    """
    kept = F.when(F.col("is_return"), F.lit(0)).otherwise(F.col("amount"))
    sums = lines.groupBy("system", "order_id").agg(
        F.sum(kept).cast("double").alias("_kept"), F.sum("amount").cast("double").alias("_all")
    )
    discount = F.coalesce(F.col("discount_amount").cast("double"), F.lit(0.0))
    share = F.when(F.col("_all") > 0, F.greatest(F.lit(0.0), 1 - discount / F.col("_all"))).otherwise(F.lit(1.0))
    net = F.when(discount > 0, F.col("_kept") * share).otherwise(F.col("_kept"))
    revenue = F.coalesce(net, F.col("amount").cast("double"))
    return orders.join(sums, ["system", "order_id"], "left").withColumn("revenue", revenue)


def _events(tables: TableStore, zone: str, records: DataFrame, time: str) -> DataFrame:
    return with_customer_id(records, tables).withColumn("happened_on", day_of(time, zone))
