"""Customer activity from silver: ownership, revenue, returns."""

from datetime import datetime
from decimal import Decimal

import pytest
from support.lake import AS_OF, lake_context, put

from crm_spark.contracts.features import FEATURE_CUSTOMER
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.silver import ORDER, ORDER_LINE
from crm_spark.stages.featurise import stage

ORDERS = [
    {"order_id": "o1", "person_id": "p1", "ordered_at": datetime(2025, 1, 10, 12), "status": "completed"},
    {"order_id": "o2", "person_id": "p2", "ordered_at": datetime(2025, 1, 31, 23, 59), "status": "completed"},
    {"order_id": "o3", "person_id": "p1", "ordered_at": datetime(2025, 1, 12, 12), "status": "cancelled"},
    {"order_id": "o4", "person_id": None, "ordered_at": datetime(2025, 1, 13, 12), "status": "completed"},  # a guest
    {"order_id": "o5", "person_id": "p1", "ordered_at": datetime(2025, 2, 1), "status": "completed"},  # after as_of
]
LINES = [
    {"line_id": "1", "order_id": "o1", "product_id": "a", "amount": Decimal("10.50")},
    {"line_id": "2", "order_id": "o1", "product_id": "b", "amount": Decimal("4.25"), "is_return": True},
    {"line_id": "3", "order_id": "o1", "product_id": None, "amount": Decimal("2.00")},
    {"line_id": "4", "order_id": "o2", "product_id": "a", "amount": Decimal("5.00")},
    {"line_id": "5", "order_id": "o3", "product_id": "c", "amount": Decimal("70.00")},
    {"line_id": "6", "order_id": "o4", "product_id": "d", "amount": Decimal("80.00")},
    {"line_id": "7", "order_id": "o5", "product_id": "e", "amount": Decimal("90.00")},
]


@pytest.fixture(scope="module")
def customer(spark, tmp_path_factory):
    """Features of a customer with two linked person records."""
    ctx = lake_context(spark, tmp_path_factory.mktemp("lake"), "featurise.num_snapshots=1")
    put(ctx.tables, CUSTOMER, [{"customer_id": "c1", "joined_at": datetime(2025, 1, 1)}])
    put(ctx.tables, CUSTOMER_LINK, [{"system": "shop", "person_id": p, "customer_id": "c1"} for p in ("p1", "p2")])
    put(ctx.tables, ORDER, [{"system": "shop", "channel": "web", **row} for row in ORDERS])
    put(ctx.tables, ORDER_LINE, [{"system": "shop", **row} for row in LINES])
    assert stage.run(ctx).num_rows == 1
    row = ctx.tables.read(FEATURE_CUSTOMER).first()
    assert row["as_of"] == AS_OF
    return row


def test_customer_has_the_orders_of_all_linked_records(customer):
    assert (customer["num_orders"], customer["recency_days"]) == (2, 0)  # o1 of p1, o2 of p2 on the day itself


def test_revenue_excludes_returns_and_cancellations(customer):
    assert customer["monetary"] == 17.5  # 10.50 + 2.00 + 5.00; without the returned line and the cancelled order


def test_line_without_product_does_not_count_as_product(customer):
    assert customer["num_products"] == 1  # a


def test_cancelled_orders_and_returned_lines_are_returns(customer):
    assert customer["num_returns"] == 2  # order o3, line 2
