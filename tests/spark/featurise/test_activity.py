"""Customer activity from silver: ownership, revenue, returns."""

from datetime import datetime
from decimal import Decimal

import pytest
from support.lake import AS_OF, lake_context, put

from crm_spark.contracts.features import FEATURE_CUSTOMER
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.silver import APPOINTMENT, ORDER, ORDER_LINE, USAGE
from crm_spark.stages.featurise import stage

ORDERS = [
    {"order_id": "o1", "person_id": "p1", "ordered_at": datetime(2025, 1, 10, 12), "status": "completed"},
    {"order_id": "o2", "person_id": "p2", "ordered_at": datetime(2025, 1, 31, 23, 59), "status": "completed"},
    {"order_id": "o3", "person_id": "p1", "ordered_at": datetime(2025, 1, 12, 12), "status": "cancelled"},
    {"order_id": "o4", "person_id": None, "ordered_at": datetime(2025, 1, 13, 12), "status": "completed"},  # a guest
    {"order_id": "o5", "person_id": "p1", "ordered_at": datetime(2025, 2, 1), "status": "completed"},  # after as_of
    # Of another customer: an order without lines, and later one that was returned.
    {"order_id": "o6", "person_id": "p3", "ordered_at": datetime(2024, 9, 1), "status": "completed"},
    {"order_id": "o7", "person_id": "p4", "ordered_at": datetime(2025, 1, 2), "status": "completed"},
]
LINES = [
    {"line_id": "1", "order_id": "o1", "product_id": "a", "amount": Decimal("10.50")},
    {"line_id": "2", "order_id": "o1", "product_id": "b", "amount": Decimal("4.25"), "is_return": True},
    {"line_id": "3", "order_id": "o1", "product_id": None, "amount": Decimal("2.00")},
    {"line_id": "4", "order_id": "o2", "product_id": "a", "amount": Decimal("5.00")},
    {"line_id": "5", "order_id": "o3", "product_id": "c", "amount": Decimal("70.00")},
    {"line_id": "6", "order_id": "o4", "product_id": "d", "amount": Decimal("80.00")},
    {"line_id": "7", "order_id": "o5", "product_id": "e", "amount": Decimal("90.00")},
    {"line_id": "8", "order_id": "o7", "product_id": "e", "amount": Decimal("60.00"), "is_return": True},
]


@pytest.fixture(scope="module")
def customers(spark, tmp_path_factory):
    """Features of three customers; the first has two linked person records."""
    ctx = lake_context(spark, tmp_path_factory.mktemp("lake"), "featurise.num_snapshots=1")
    put(ctx.tables, CUSTOMER, [{"customer_id": c, "joined_at": datetime(2024, 1, 1)} for c in ("c1", "c3", "c4")])
    links = {"p1": "c1", "p2": "c1", "p3": "c3", "p4": "c4"}
    put(ctx.tables, CUSTOMER_LINK, [{"system": "shop", "person_id": p, "customer_id": c} for p, c in links.items()])
    put(ctx.tables, ORDER, [{"system": "shop", "channel": "web", **row} for row in ORDERS])
    put(ctx.tables, ORDER_LINE, [{"system": "shop", **row} for row in LINES])
    assert stage.run(ctx).num_rows == 3
    rows = {row["customer_id"]: row for row in ctx.tables.read(FEATURE_CUSTOMER).collect()}
    assert {row["as_of"] for row in rows.values()} == {AS_OF}
    return rows


@pytest.fixture(scope="module")
def customer(customers):
    return customers["c1"]


def test_customer_has_the_orders_of_all_linked_records(customer):
    assert (customer["num_orders"], customer["recency_days"]) == (2, 0)  # o1 of p1, o2 of p2 on the day itself


def test_revenue_excludes_returns_and_cancellations(customer):
    assert customer["monetary"] == 17.5  # 10.50 + 2.00 + 5.00; without the returned line and the cancelled order


def test_line_without_product_does_not_count_as_product(customer):
    assert customer["num_products"] == 1  # a


def test_cancelled_orders_and_returned_lines_are_returns(customer):
    assert customer["num_returns"] == 2  # order o3, line 2


def test_revenue_of_orders_without_amounts_is_unknown_and_of_returned_orders_zero(customers):
    names = ("num_orders", "monetary", "monetary_recent", "mean_order_value")
    assert [customers["c3"][name] for name in names] == [1, None, 0.0, None]  # no order in the last 91 days: 0
    assert [customers["c4"][name] for name in names] == [1, 0.0, 0.0, 0.0]


def test_appointments_and_uses_may_be_the_purchases(spark, tmp_path):
    overrides = ("featurise.num_snapshots=1", "company.purchases=[appointment, usage]")
    ctx = lake_context(spark, tmp_path, *overrides)
    put(ctx.tables, CUSTOMER, [{"customer_id": c, "is_prospect": c == "b"} for c in ("a", "b")])
    put(ctx.tables, CUSTOMER_LINK, [{"system": "gym", "person_id": c, "customer_id": c} for c in ("a", "b")])
    put(ctx.tables, ORDER, [{"system": "gym", **order, "person_id": "a"} for order in ORDERS])  # not counted
    visits = [("1", "attended", 5, 12), ("2", "missed", 6, 12), ("3", "cancelled", 7, 12), ("4", "booked", 8, None)]
    course = {"system": "gym", "person_id": "a", "kind": "course", "product_id": "yoga"}
    rows = [
        {**course, "appointment_id": i, "status": state, "starts_at": datetime(2025, 1, day), "amount": price and Decimal(price)}
        for i, state, day, price in visits
    ]  # fmt: skip
    put(ctx.tables, APPOINTMENT, rows)
    visit = {"person_id": "a", "kind": "visit", "happened_at": datetime(2025, 1, 30), "amount": Decimal(3)}
    put(ctx.tables, USAGE, [{"system": "gym", **visit}])
    assert stage.run(ctx).num_rows == 1  # without the prospect
    row = ctx.tables.read(FEATURE_CUSTOMER).first()
    names = ("num_orders", "num_returns", "recency_days", "monetary", "num_products", "num_channels")
    assert [row[name] for name in names] == [3, 1, 1, 15.0, 1, 2]
