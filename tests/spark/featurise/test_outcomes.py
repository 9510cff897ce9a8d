"""What a company loses customers by: contracts that end, missed renewals, missed appointments."""

from datetime import date, datetime
from decimal import Decimal

import pytest
from support.lake import AS_OF, lake_context, put

from crm_spark.contracts.features import FEATURE_CUSTOMER
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.silver import APPOINTMENT, PAYMENT, SUBSCRIPTION, USAGE
from crm_spark.customers.business import has_lapsed, is_predictable
from crm_spark.stages.featurise import stage

# Snapshots: 2025-01-31, and 30 days before, 2025-01-01.
CONTRACTS = {
    "runs": [{"started_at": datetime(2024, 5, 1)}],
    "ended_between": [{"started_at": datetime(2024, 5, 1), "ended_at": datetime(2025, 1, 10), "status": "ended"}],
    "ends_later": [{"started_at": datetime(2024, 5, 1), "ended_at": datetime(2025, 3, 1)}],
    "gave_notice": [{"started_at": datetime(2024, 5, 1), "renews_at": datetime(2025, 1, 20), "is_renewing": False}],
    "term_over": [{"started_at": datetime(2024, 5, 1), "renews_at": datetime(2025, 1, 20), "is_renewing": True}],
    "changed_plan": [
        {"started_at": datetime(2024, 5, 1), "ended_at": datetime(2025, 1, 5), "status": "ended"},
        {"started_at": datetime(2025, 1, 6)},
    ],
    "ended_unknown_when": [
        {"started_at": datetime(2024, 5, 1), "status": "ended", "updated_at": datetime(2025, 1, 15)}
    ],
    "began_later": [{"started_at": datetime(2025, 1, 15)}],
    "none": [],
}


def company(spark, folder, churn):
    overrides = (f"company.churn={churn}", "company.purchases=[appointment]", "company.horizon_days=30")
    ctx = lake_context(spark, folder, "featurise.num_snapshots=2", *overrides)
    put(ctx.tables, CUSTOMER, [{"customer_id": name, "joined_at": datetime(2024, 1, 1)} for name in CONTRACTS])
    put(ctx.tables, CUSTOMER_LINK, [{"system": "crm", "person_id": n, "customer_id": n} for n in CONTRACTS])
    rows = [
        {"system": "crm", "subscription_id": f"{name}{i}", "person_id": name, "status": "active", **row}
        for name, rows in CONTRACTS.items()
        for i, row in enumerate(rows)
    ]
    put(ctx.tables, SUBSCRIPTION, rows)
    visits = {
        "runs": [("missed", 12)],
        "ended_between": [("missed", 12), ("attended", 20)],
        "none": [("missed", 2), ("cancelled", 20)],
        "began_later": [("cancelled", 12)],
    }
    appointments = [
        {
            "system": "crm",
            "appointment_id": f"{name}{i}",
            "person_id": name,
            "kind": "visit",
            "status": status,
            "starts_at": datetime(2025, 1, day),
        }
        for name, those in visits.items()
        for i, (status, day) in enumerate(those)
    ]
    put(ctx.tables, APPOINTMENT, appointments)
    stage.run(ctx)
    return ctx.tables.read(FEATURE_CUSTOMER)


def by_customer(table, day, column):
    return {row["customer_id"]: row[column] for row in table.where(f"as_of = '{day}'").collect()}


@pytest.mark.parametrize(
    ("churn", "lost"),
    [
        ("contract_end", {"ended_between", "gave_notice", "ended_unknown_when"}),
        ("missed_renewal", {"ended_between", "gave_notice", "ended_unknown_when", "term_over"}),
    ],
)
def test_customers_are_lost_by_the_end_of_their_contract(spark, tmp_path, churn, lost):
    table = company(spark, tmp_path, churn)
    before = by_customer(table, date(2025, 1, 1), "num_contracts")
    assert before == {name: 0 if name in ("began_later", "none") else 1 for name in CONTRACTS}
    could_be_lost = {
        row["customer_id"] for row in table.where("as_of = '2025-01-01'").where(is_predictable(churn)).collect()
    }
    now = {
        row["customer_id"]
        for row in table.where(f"as_of = '{AS_OF}'").where(has_lapsed(churn)).collect()
        if row["customer_id"] in could_be_lost
    }
    assert now == lost
    assert set(by_customer(table, AS_OF, "num_missed_recent").values()) == {None}


def test_customers_are_lost_by_missed_appointments(spark, tmp_path):
    table = company(spark, tmp_path, "missed_appointment")
    missed = by_customer(table, AS_OF, "num_missed_recent")
    assert {name: n for name, n in missed.items() if n} == {"runs": 1, "ended_between": 1, "none": 1}
    assert set(by_customer(table, date(2025, 1, 1), "num_missed_recent").values()) == {0}
    lost = table.where(f"as_of = '{AS_OF}'").where(has_lapsed("missed_appointment")).collect()
    assert {row["customer_id"] for row in lost} == {"runs", "none"}  # one attended another


def test_a_shop_has_neither(spark, tmp_path):
    table = company(spark, tmp_path, "inactivity")
    assert set(by_customer(table, AS_OF, "num_contracts").values()) == {None}


def test_revenue_may_come_from_other_records_than_the_purchases(spark, tmp_path):
    overrides = ("company.purchases=[usage]", "company.revenue=[payment]", "company.horizon_days=30")
    ctx = lake_context(spark, tmp_path, "featurise.num_snapshots=1", *overrides)
    names = ("pays", "uses", "pays_only", "neither")
    put(ctx.tables, CUSTOMER, [{"customer_id": name, "joined_at": datetime(2024, 1, 1)} for name in names])
    put(ctx.tables, CUSTOMER_LINK, [{"system": "bank", "person_id": n, "customer_id": n} for n in names])
    uses = [("pays", 3, 900.0), ("pays", 9, 100.0), ("uses", 4, 500.0)]
    put(
        ctx.tables,
        USAGE,
        [
            {
                "system": "bank",
                "usage_id": str(i),
                "person_id": p,
                "happened_at": datetime(2025, 1, day),
                "amount": Decimal(str(amount)),
            }
            for i, (p, day, amount) in enumerate(uses)
        ],
    )
    fees = [
        ("pays", datetime(2025, 1, 5), 9.0),
        ("pays", datetime(2025, 1, 8), -4.0),
        ("pays_only", datetime(2024, 11, 5), 7.0),
    ]
    put(
        ctx.tables,
        PAYMENT,
        [
            {
                "system": "bank",
                "payment_id": str(i),
                "person_id": p,
                "paid_at": at,
                "value": Decimal(str(v)),
                "amount": Decimal(str(v)),
            }
            for i, (p, at, v) in enumerate(fees)
        ],
    )
    stage.run(ctx)
    table = ctx.tables.read(FEATURE_CUSTOMER)
    values = {
        r["customer_id"]: (r["num_orders"], r["monetary"], r["monetary_recent"], r["mean_order_value"])
        for r in table.collect()
    }
    assert values == {
        "pays": (2, 5.0, 5.0, None),  # a refund of 4 of the 9
        "uses": (1, 0.0, 0.0, None),
        "pays_only": (0, 7.0, 0.0, None),
        "neither": (0, 0.0, 0.0, None),
    }
