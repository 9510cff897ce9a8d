"""Customer activity by customer id: the input frames of all features."""

from collections.abc import Collection
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.gold import CUSTOMER
from crm_spark.contracts.sales import SALE_STATUSES
from crm_spark.contracts.silver import (
    APPOINTMENT,
    CAMPAIGN_CONTACT,
    CAMPAIGN_RESPONSE,
    ENTITIES,
    EVENT_TIMES,
    FEEDBACK,
    INTERACTION,
    ORDER,
    ORDER_LINE,
    PAYMENT,
)
from crm_spark.core.days import day_of
from crm_spark.core.tables import TableStore
from crm_spark.customers.links import with_customer_id, with_person_of_order

_OF_ORDER = ("customer_id", "happened_on", "status", "withdrawn_on")
SATISFACTION = {"recommends": 1.0, "no_clear_opinion": 0.0, "does_not_recommend": -1.0}


@dataclass(frozen=True)
class Activity:
    """Events of customers; each frame has customer_id and `happened_on`."""

    customers: DataFrame
    """customer_id, joined_on; without prospects."""
    orders: DataFrame
    """Grain: order or other purchase. status, withdrawn_on (cancellation or return, if its day is known), channel, revenue
    (reporting currency; null without a known amount)."""
    lines: DataFrame
    """Grain: order line, or purchase of a product. status and withdrawn_on of the order; product, null if the line has none."""
    returned_lines: DataFrame
    """Grain: returned line of an order, with its status and withdrawn_on."""
    interactions: DataFrame
    feedback: DataFrame
    contacts: DataFrame
    responses: DataFrame
    has_own_revenue: bool = False
    """Whether revenue comes from records that are no purchases: a customer without any has a revenue of 0."""


REVENUE = "revenue"
"""Status of records that are revenue but no purchase, among the orders of `Activity`."""


def activity(
    tables: TableStore,
    zone: str,
    purchases: Collection[str] = ("order",),
    revenue: Collection[str] | None = None,
) -> Activity:
    """Read the frames; records without a customer are left out.

    Args:
        tables: the lake.
        zone: IANA time zone of the company's days.
        purchases: entities that count as purchases, see `company.purchases`.
        revenue: entities whose amounts are revenue, see `company.revenue`; None: the purchases.
    """
    of_revenue = purchases if revenue is None else revenue
    orders = _events(tables, zone, tables.read(ORDER), "ordered_at").withColumn(
        "withdrawn_on", day_of(F.coalesce("cancelled_at", "returned_at"), zone)
    )
    bought = [
        _without_revenue(_other_purchases(tables, zone, entity), unless=entity in of_revenue)
        for entity in purchases
        if entity != ORDER.entity
    ]
    products = [frame.where("product IS NOT NULL").select(*_OF_ORDER, "product") for frame in bought]
    returned = orders.limit(0).select(*_OF_ORDER)
    if ORDER.entity in purchases:
        of_order = orders.select("system", "order_id", *_OF_ORDER)
        sold = tables.read(ORDER_LINE).where(~F.col("is_return")).join(of_order, ["system", "order_id"])
        lines = tables.read(ORDER_LINE).where("is_return").select("system", "order_id")
        returned = lines.join(of_order, ["system", "order_id"]).select(*_OF_ORDER)
        # A line without a product counts as sold, but not as a product.
        products.append(sold.select(*_OF_ORDER, _product()))
        sales = _with_revenue(orders, tables.read(ORDER_LINE))
        bought.append(_without_revenue(sales, unless=ORDER.entity in of_revenue))
    others = [entity for entity in of_revenue if entity not in purchases]
    bought += [_revenue_of(tables, zone, entity, orders) for entity in others]
    return Activity(
        customers=tables.read(CUSTOMER)
        .where(~F.coalesce("is_prospect", F.lit(False)))
        .select("customer_id", day_of("joined_at", zone).alias("joined_on")),
        orders=reduce(DataFrame.unionByName, [f.select(*_OF_ORDER, "channel", "revenue") for f in bought]),
        lines=reduce(DataFrame.unionByName, products),
        returned_lines=returned,
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
        has_own_revenue=any(tables.exists(ENTITIES[entity]) for entity in others),
    )


def _without_revenue(frame: DataFrame, *, unless: bool) -> DataFrame:
    return frame if unless else frame.withColumn("revenue", F.lit(None).cast("double"))


def _revenue_of(tables: TableStore, zone: str, entity: str, orders: DataFrame) -> DataFrame:
    """Records of an entity as revenue that is no purchase. Grain: record; refunds are negative."""
    if entity == ORDER.entity:
        sold = F.col("status").isin(*SALE_STATUSES)
        records = _with_revenue(orders, tables.read(ORDER_LINE)).where(sold)
    else:
        records = with_person_of_order(tables.read(ENTITIES[entity]), entity, tables)
        records = _events(tables, zone, records, EVENT_TIMES[entity]).withColumn(
            "revenue", F.col("amount").cast("double")
        )
        if entity == APPOINTMENT.entity:
            records = records.where("status = 'attended'")
    return records.select(
        "customer_id",
        "happened_on",
        F.lit(REVENUE).alias("status"),
        F.lit(None).cast("date").alias("withdrawn_on"),
        F.lit(None).cast("string").alias("channel"),
        "revenue",
    )


def _product() -> Column:
    return F.when(F.col("product_id").isNotNull(), F.concat_ws("|", "system", "product_id")).alias("product")


def _other_purchases(tables: TableStore, zone: str, entity: str) -> DataFrame:
    """Records of an entity as orders with one line. Grain: record. Missed appointments are neither sales nor returns."""
    contract = ENTITIES[entity]
    records = with_person_of_order(tables.read(contract), entity, tables)
    records = _events(tables, zone, records, EVENT_TIMES[entity])
    if entity == PAYMENT.entity:
        records = records.where("value > 0")  # a refund is no purchase
    status = F.lit(SALE_STATUSES[0])
    if entity == APPOINTMENT.entity:
        states = {"attended": "delivered", "booked": "open", "cancelled": "cancelled", "missed": "unavailable"}
        status = F.create_map(*(F.lit(word) for pair in states.items() for word in pair))[F.col("status")]
    channel = {"payment": "method", "usage": "kind", "appointment": "kind", "subscription": "plan"}[entity]
    product = _product() if "product_id" in contract.column_names else F.lit(None).cast("string").alias("product")
    return records.select(
        "customer_id",
        "happened_on",
        status.alias("status"),
        F.lit(None).cast("date").alias("withdrawn_on"),
        F.col(channel).alias("channel"),
        F.col("amount").cast("double").alias("revenue"),
        product,
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
