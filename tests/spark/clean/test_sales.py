"""Orders with states, times and amounts; order lines with discounts; payments."""

import datetime as dt
from decimal import Decimal

from support.lake import lake_context, put

from crm_spark.contracts.features import FEATURE_CUSTOMER
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.ops import FINDING, QUARANTINE
from crm_spark.contracts.silver import ORDER, ORDER_LINE, PAYMENT
from crm_spark.stages.featurise import stage as featurise

SOURCES = {
    "orders": """
system: shop
files: {path: orders.csv, format: csv}
feeds:
  order:
    columns:
      order_id: id
      person_id: customer
      ordered_at: {from: at, formats: [iso]}
      status: {from: state, map: {new: open, sent: shipped, done: delivered, void: cancelled, back: returned, out: unavailable}}
      shipped_at: {from: shipped, formats: [iso]}
      delivered_at: {from: delivered, formats: [iso]}
      returned_at: {from: returned, formats: [iso]}
      currency: currency
      freight: freight
      discount: discount
      total: total
""",
    "lines": """
system: shop
files: {path: lines.csv, format: csv}
feeds:
  order_line:
    columns:
      line_id: id
      order_id: order
      quantity: n
      unit_price: price
      discount: discount
      tax: tax
      seller_id: seller
      is_return: {cases: [{column: n, matches: '^-', value: 'true'}], otherwise: 'false'}
""",
    "payments": """
system: shop
files: {path: payments.csv, format: csv}
feeds:
  payment:
    columns: {payment_id: id, order_id: order, method: method, instalments: rates, value: value}
""",
}
FILES = {
    "orders.csv": "id,customer,at,state,shipped,delivered,returned,currency,freight,discount,total\n"
    "1,a,2025-01-01T10:00:00,done,2025-01-02T10:00:00,2025-01-04T10:00:00,,usd,4.90,-10,100\n"
    "2,a,2025-01-05T10:00:00,sent,soon,,,EUR,,,\n"
    "3,a,2025-01-06T10:00:00,out,,,,,,,50\n"
    "4,b,2025-01-06T10:00:00,back,,,2025-02-03T10:00:00,,,,30\n"
    "5,b,2025-01-07T10:00:00,new,,2025-01-01T10:00:00,,GBP,,,20\n"
    "6,b,2025-01-07T10:00:00,lost,,,,,,,20\n",
    "lines.csv": "id,order,n,price,discount,tax,seller\n"
    "1,1,2,50,5,3.20,s9\n2,1,-1,10,2,,\n3,2,1,\u20ac 20.00,,,\n4,2,1,30,-30,,\n5,5,2,8,,,\n",
    "payments.csv": "id,order,method,rates,value\n1,1,card,3,60\n2,1,voucher,x,40\n3,9,card,1,-5\n",
}


def rows(ctx, contract, *columns):
    return sorted(tuple(map(_plain, row)) for row in ctx.tables.read(contract).select(*columns).collect())


def _plain(value):
    return float(value) if isinstance(value, Decimal) else str(value) if isinstance(value, dt.datetime) else value


def test_orders_lines_and_payments(company):
    ctx = company(SOURCES, FILES, "company.exchange_rates={USD: 0.5}")
    assert rows(ctx, ORDER, "order_id", "status", "currency", "discount", "discount_amount", "total", "amount") == [
        ("1", "delivered", "USD", 10.0, 5.0, 100.0, 50.0),
        ("2", "shipped", None, None, None, None, None),
        ("3", "unavailable", "EUR", None, None, 50.0, 50.0),
        ("4", "returned", "EUR", None, None, 30.0, 30.0),
        ("5", "open", "GBP", None, None, 20.0, None),
    ]
    assert rows(ctx, ORDER, "order_id", "shipped_at", "delivered_at", "notes")[:2] == [
        ("1", "2025-01-02 10:00:00", "2025-01-04 10:00:00", None),
        ("2", None, None, ["bad_date:shipped_at"]),
    ]
    assert rows(ctx, ORDER_LINE, "line_id", "amount", "discount", "tax", "seller_id") == [
        ("1", 95.0, 5.0, 3.2, "s9"),
        ("2", -8.0, 2.0, None, None),  # a returned unit gives its discount back
        ("3", 20.0, None, None, None),
        ("4", 0.0, 30.0, None, None),
        ("5", 16.0, None, None, None),
    ]
    assert rows(ctx, PAYMENT, "payment_id", "method", "instalments", "amount", "currency") == [
        ("1", "card", 3, 60.0, "EUR"),
        ("2", "voucher", None, 40.0, "EUR"),
        ("3", "card", 1, -5.0, "EUR"),
    ]
    found = {(f["entity"], f["code"], f["column"], f["num_rows"]) for f in ctx.tables.read(FINDING).collect()}
    assert found >= {
        ("order", "bad_date", "shipped_at", 1),
        ("order", "unknown_value", "status", 1),
        ("order", "unknown_currency", "currency", 1),
        ("order", "delivered_before_order", "delivered_at", 1),
        ("payment", "bad_number", "instalments", 1),
        ("payment", "unknown_order", "order_id", 1),
    }
    assert [(r["entity"], r["reasons"]) for r in ctx.tables.read(QUARANTINE).collect()] == [
        ("order", ["unknown_value"])
    ]


def test_revenue_by_state_and_day(spark, tmp_path):
    ctx = lake_context(spark, tmp_path, "featurise.num_snapshots=1")
    put(ctx.tables, CUSTOMER, [{"customer_id": c, "joined_at": dt.datetime(2024, 1, 1)} for c in ("a", "b", "c")])
    put(ctx.tables, CUSTOMER_LINK, [{"system": "s", "person_id": p, "customer_id": p} for p in ("a", "b", "c")])
    at, after = dt.datetime(2025, 1, 10), dt.datetime(2025, 2, 10)
    orders = [
        {"order_id": "1", "person_id": "a", "status": "shipped", "discount_amount": Decimal(25)},
        {"order_id": "2", "person_id": "a", "status": "open", "amount": Decimal(40)},  # no lines: the total counts
        {"order_id": "3", "person_id": "a", "status": "unavailable", "amount": Decimal(500)},
        {"order_id": "4", "person_id": "b", "status": "returned", "returned_at": after, "amount": Decimal(7)},
        {"order_id": "5", "person_id": "b", "status": "cancelled", "cancelled_at": at, "amount": Decimal(9)},
        {"order_id": "7", "person_id": "c", "status": "unavailable"},
        {"order_id": "6", "person_id": "b", "status": "cancelled", "amount": Decimal(11)},
    ]
    put(ctx.tables, ORDER, [{"system": "s", "ordered_at": at, **order} for order in orders])
    lines = [
        {"line_id": "1", "order_id": "1", "product_id": "x", "amount": Decimal(60)},
        {"line_id": "2", "order_id": "1", "product_id": "y", "amount": Decimal(40), "is_return": True},
    ]
    put(ctx.tables, ORDER_LINE, [{"system": "s", **line} for line in lines])
    featurise.run(ctx)
    features = ctx.tables.read(FEATURE_CUSTOMER).select(
        "customer_id", "num_orders", "num_returns", "monetary", "num_products"
    )
    assert sorted(map(tuple, features.collect())) == [
        ("a", 2, 1, 85.0, 1),  # 60 less its share of the discount (15), and 40; the unavailable order counts nowhere
        ("b", 1, 2, 7.0, 0),  # the return comes after the snapshot
        ("c", 0, 0, 0.0, 0),
    ]
