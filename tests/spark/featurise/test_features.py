"""Features of three customers; events after the snapshot are ignored."""

from dataclasses import replace
from datetime import date

import pytest
from pyspark.sql import functions as F

from crm_spark.contracts.features import FEATURE_COLUMNS
from crm_spark.stages.featurise.activity import Activity
from crm_spark.stages.featurise.features import features, snapshot_days

JUNE_30, MAY_31 = date(2025, 6, 30), date(2025, 5, 31)
HORIZON_DAYS = 30
CUSTOMERS = [
    ("anna", date(2025, 1, 1)),
    ("ben", date(2025, 6, 1)),  # has never ordered
    ("cleo", None),  # unknown joining date
    ("dora", date(2025, 7, 1)),  # joins on the day after the newest snapshot
]
ORDERS = [
    ("anna", date(2025, 3, 2), "completed", "shop", 10.0),
    ("anna", date(2025, 4, 1), "completed", "market", 20.0),
    ("anna", date(2025, 5, 31), "completed", "shop", 60.0),
    ("anna", date(2025, 6, 10), "returned", "phone", 0.0),
    ("anna", date(2025, 7, 1), "completed", "shop", 999.0),
    ("cleo", date(2025, 6, 30), "completed", None, 5.0),
    ("dora", date(2025, 7, 1), "completed", "shop", 7.0),
]
LINES = [
    ("anna", date(2025, 3, 2), "shop|a"),
    ("anna", date(2025, 4, 1), "shop|a"),
    ("anna", date(2025, 5, 31), "shop|b"),
    ("anna", date(2025, 7, 1), "shop|z"),
    ("cleo", date(2025, 6, 30), "shop|a"),
]
INTERACTIONS = [
    ("anna", date(2025, 5, 1), "ticket"),
    ("anna", date(2025, 6, 30), "call"),
    ("anna", date(2025, 6, 20), "mail"),
    ("anna", date(2025, 5, 31), "web"),
    ("anna", date(2025, 6, 5), "web"),
    ("anna", date(2025, 6, 30), "web"),
    ("anna", date(2025, 7, 1), "web"),
    ("anna", date(2025, 7, 1), "ticket"),
]
FEEDBACK = [
    ("anna", date(2025, 2, 1), "recommends"),
    ("anna", date(2025, 6, 15), "does_not_recommend"),
    ("anna", date(2025, 6, 20), None),  # text without a rating
    ("anna", date(2025, 7, 1), "recommends"),
]
CONTACTS = [("anna", date(2025, 4, 1)), ("anna", date(2025, 6, 1)), ("anna", date(2025, 7, 2))]
RESPONSES = [("anna", date(2025, 6, 3)), ("anna", date(2025, 7, 3))]


def of_orders(frame):
    return frame.withColumn("withdrawn_on", F.lit(None).cast("date"))


def activity_of(spark) -> Activity:
    def frame(rows, columns):
        return spark.createDataFrame(rows, f"customer_id string, {columns}")

    return Activity(
        customers=frame(CUSTOMERS, "joined_on date"),
        orders=of_orders(frame(ORDERS, "happened_on date, status string, channel string, revenue double")),
        lines=of_orders(frame(LINES, "happened_on date, product string")).withColumn("status", F.lit("completed")),
        returned_lines=frame([], "happened_on date, status string, withdrawn_on date"),
        interactions=frame(INTERACTIONS, "happened_on date, kind string"),
        feedback=frame(FEEDBACK, "happened_on date, label string"),
        contacts=frame(CONTACTS, "happened_on date"),
        responses=frame(RESPONSES, "happened_on date"),
    )


def collected(activity):
    rows = features(activity, [JUNE_30, MAY_31], horizon_days=HORIZON_DAYS).collect()
    by_snapshot = {(row["customer_id"], row["as_of"]): row.asDict() for row in rows}
    assert len(by_snapshot) == len(rows)
    return by_snapshot


@pytest.fixture(scope="module")
def table(spark):
    return collected(activity_of(spark))


def values(row, *names):
    return tuple(row[name] for name in names)


def test_snapshots_are_whole_horizons_apart():
    assert snapshot_days(JUNE_30, num_snapshots=3, horizon_days=30) == [JUNE_30, MAY_31, date(2025, 5, 1)]


def test_recency_frequency_and_monetary_of_a_customer_are_computed(table):
    anna = table["anna", JUNE_30]
    assert values(anna, "recency_days", "num_orders", "num_orders_recent") == (
        30,
        3,
        0,
    )  # 31 May is 30 days ago: not < 30
    assert values(anna, "monetary", "monetary_recent", "mean_order_value") == (90.0, 0.0, 30.0)  # 10 + 20 + 60, over 3
    assert values(anna, "num_products", "num_channels") == (2, 2)  # a, b; shop, market; the phone order was returned
    assert anna["tenure_days"] == 180  # 1 January to 30 June: 30 + 28 + 31 + 30 + 31 + 30


def test_cadence_and_lateness_of_a_customer_are_computed(table):
    anna = table["anna", JUNE_30]
    assert anna["cadence_days"] == 45.0  # 2 March to 31 May: 90 days, 2 gaps
    assert anna["lateness"] == pytest.approx(0.6667, abs=1e-4)  # 30 / 45
    assert values(table["cleo", JUNE_30], "cadence_days", "lateness") == (None, None)  # one order has no gap


def test_returns_are_counted_separately_from_orders(table):
    assert values(table["anna", JUNE_30], "num_returns", "return_fraction") == (1, 0.25)  # 1 / (3 + 1)
    assert values(table["anna", MAY_31], "num_returns", "return_fraction") == (0, 0.0)


def test_tickets_calls_and_visits_are_counted_by_age(table):
    anna = table["anna", JUNE_30]
    assert values(anna, "num_tickets", "num_tickets_recent") == (2, 1)  # 1 May is 60 days ago; a mail is no ticket
    assert anna["num_web_events_recent"] == 2  # 5 and 30 June; 31 May is 30 days ago


def test_mean_and_latest_satisfaction_are_computed(table):
    anna = table["anna", JUNE_30]
    assert values(anna, "num_feedback", "mean_satisfaction", "last_satisfaction") == (3, 0.0, -1.0)  # (1 - 1) / 2
    assert values(table["anna", MAY_31], "num_feedback", "mean_satisfaction", "last_satisfaction") == (1, 1.0, 1.0)


def test_campaign_contacts_and_responses_are_counted(table):
    assert values(table["anna", JUNE_30], "num_campaign_contacts", "num_campaign_responses") == (2, 1)
    assert values(table["anna", MAY_31], "num_campaign_contacts", "num_campaign_responses") == (1, 0)


def test_events_count_up_to_the_snapshot_day(table):
    assert values(table["cleo", JUNE_30], "recency_days", "num_orders", "monetary") == (0, 1, 5.0)
    may = table["anna", MAY_31]
    # the order of 31 May is there, the returned one of 10 June is not
    assert values(may, "recency_days", "num_orders", "num_orders_recent", "monetary_recent") == (0, 3, 1, 60.0)
    assert values(may, "num_web_events_recent", "num_tickets_recent") == (1, 0)  # 31 May; the ticket is 30 days old


def test_customer_without_orders_has_zeros(table):
    ben = table["ben", JUNE_30]
    zeros = [c.name for c in FEATURE_COLUMNS if c.is_required]
    assert len(zeros) == 12 and all(ben[name] == 0 for name in zeros)
    assert values(ben, "monetary", "monetary_recent") == (0.0, 0.0)
    nulls = ("recency_days", "mean_order_value", "cadence_days", "lateness", "mean_satisfaction", "last_satisfaction")
    assert values(ben, *nulls) == (None,) * 6
    assert ben["tenure_days"] == 29  # 1 to 30 June


def test_customer_is_in_every_snapshot_after_joining(table):
    assert set(table) == {
        ("anna", JUNE_30),
        ("anna", MAY_31),
        ("ben", JUNE_30),
        ("cleo", JUNE_30),
        ("cleo", MAY_31),
    }
    assert values(table["cleo", MAY_31], "recency_days", "num_orders", "tenure_days") == (None, 0, None)


def test_events_after_the_snapshot_are_ignored(spark, table):
    activity = activity_of(spark)
    past = {
        name: getattr(activity, name).where(F.col("happened_on") <= F.lit(JUNE_30))
        for name in ("orders", "lines", "interactions", "feedback", "contacts", "responses")
    }
    assert collected(replace(activity, **past)) == table
