"""Files of a marketplace and of a fitness club are drafted without a person's help, and their rows reach silver."""

import csv
import io
import shutil
from contextlib import redirect_stdout

import pytest
from support.lake import lake_context

from crm_spark.cli.app import run
from crm_spark.contracts.ops import QUARANTINE
from crm_spark.contracts.silver import APPOINTMENT, DEAL, LOCATION, ORDER, ORDER_LINE, PAYMENT, SUBSCRIPTION
from crm_spark.sources.config import load_sources
from crm_spark.stages.clean import stage as clean
from crm_spark.stages.ingest import stage as ingest


def day(i, hour=10):
    return f"2024-04-{1 + i % 28:02} {hour}:00:00"


STATES = ("delivered", "shipped", "canceled", "unavailable", "processing")
FILES = {
    "market_orders.csv": [
        "order_id,customer_id,order_status,order_purchase_timestamp,order_approved_at,order_delivered_carrier_date,"
        "order_delivered_customer_date,order_estimated_delivery_date",
        *(f"o{i},c{i % 30},{STATES[i % 5]},{day(i)},{day(i, 11)},{day(i, 12)},{day(i, 20)},{day(i, 23)}" for i in range(60)),
    ],
    "market_order_items.csv": [
        "order_id,order_item_id,product_id,seller_id,price,freight_value",
        *(f"o{i // 2},{1 + i % 2},p{i % 9},s{i % 4},{10 + i % 7}.90,{i % 5}.50" for i in range(120)),
    ],
    "market_order_payments.csv": [
        "order_id,payment_sequential,payment_type,payment_installments,payment_value",
        *(f"o{i},1,{('credit_card', 'voucher')[i % 2]},{1 + i % 3},{20 + i % 9}.40" for i in range(60)),
    ],
    "club_memberships.csv": [
        "Contract No;Member ID;Plan;Status;Start date;End date;Monthly fee;Branch",
        *(f"V{i};{700 + i};{('Gold', 'Basic')[i % 2]};{('active', 'terminated', 'frozen')[i % 3]};2023-05-01;"
          f"{'2024-02-01' if i % 3 == 1 else ''};29.90;B{i % 3}" for i in range(60)),
    ],
    "club_bookings.csv": [
        "Booking ID;Member ID;Course;Booked on;Appointment date;Status;Price",
        *(f"K{i};{700 + i % 60};Yoga;2024-03-0{1 + i % 9};2024-04-{1 + i % 28:02} 18:00:00;{('Attended', 'No show')[i % 2]};9.50"
          for i in range(80)),
    ],
    "club_branches.csv": ["Branch;Name;City;Country", "B0;North;Graz;AT", "B1;South;Linz;AT", "B2;East;Wels;AT"],
    "club_leads.csv": [
        "Lead ID;Member ID;Stage;Created at;Amount;Status",
        *(f"L{i};{700 + i};trial;2024-01-{1 + i % 28:02};{300 + i};{('open', 'won', 'lost')[i % 3]}" for i in range(40)),
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def drafted(spark, tmp_path_factory):
    root = tmp_path_factory.mktemp("industry")
    (root / "drops").mkdir()
    for name, lines in FILES.items():
        (root / "drops" / name).write_text("\n".join([*lines, ""]))
    with redirect_stdout(io.StringIO()) as output:
        assert run("onboard", ["--data", str(root / "drops"), "--out", str(root / "mine")]) == 0
    (root / "output.txt").write_text(output.getvalue())
    return root


def test_every_file_is_drafted(drafted):
    sources = {source.name: source for source in load_sources(drafted / "mine" / "sources")}
    mapped = {
        name: {entity: {ours: _origin(m) for ours, m in feed.columns.items()} for entity, feed in source.feeds.items()}
        for name, source in sources.items()
    }
    assert mapped == {
        "market_orders": {"order": {
            "order_id": "order_id", "person_id": "customer_id", "status": "order_status", "ordered_at": "order_purchase_timestamp",
            "approved_at": "order_approved_at", "shipped_at": "order_delivered_carrier_date",
            "delivered_at": "order_delivered_customer_date", "promised_at": "order_estimated_delivery_date",
        }},
        "market_order_items": {"order_line": {
            "line_id": "order_id+order_item_id", "order_id": "order_id", "product_id": "product_id", "seller_id": "seller_id",
            "unit_price": "price", "freight": "freight_value", "quantity": "1",
        }},
        "market_order_payments": {"payment": {
            "payment_id": "all", "order_id": "order_id", "method": "payment_type", "instalments": "payment_installments",
            "value": "payment_value",
        }},
        "club_memberships": {"subscription": {
            "subscription_id": "Contract No", "person_id": "Member ID", "plan": "Plan", "status": "Status",
            "started_at": "Start date", "ended_at": "End date", "price": "Monthly fee", "location_id": "Branch",
        }},
        "club_bookings": {"appointment": {
            "appointment_id": "Booking ID", "person_id": "Member ID", "booked_at": "Booked on", "starts_at": "Appointment date",
            "status": "Status", "price": "Price", "kind": "booking",
        }},
        "club_branches": {"location": {"location_id": "Branch", "name": "Name", "city": "City", "country": "Country"}},
        "club_leads": {"deal": {
            "deal_id": "Lead ID", "person_id": "Member ID", "stage": "Stage", "opened_at": "Created at", "value": "Amount",
            "status": "Status",
        }},
    }  # fmt: skip
    assert {sources[name].system for name in ("market_orders", "market_order_items", "market_order_payments")} == {
        sources["market_orders"].system
    }


def _origin(mapping):
    return "+".join(mapping.from_) or str(mapping.value or mapping.hash_of)


@pytest.mark.slow
def test_their_rows_reach_silver(spark, drafted):
    ctx = lake_context(spark, drafted / "lake", conf=drafted / "mine" / "company.yaml")
    ingest.run(ctx)
    clean.run(ctx)
    tables = (ORDER, ORDER_LINE, PAYMENT, SUBSCRIPTION, APPOINTMENT, DEAL, LOCATION)
    counts = [ctx.tables.read(table).count() for table in tables]
    assert counts == [60, 120, 60, 60, 80, 40, 3]
    assert ctx.tables.read(QUARANTINE).where("status = 'quarantined'").count() == 0

    def states(table):
        return {row["status"]: row["count"] for row in ctx.tables.read(table).groupBy("status").count().collect()}

    assert states(ORDER) == {"delivered": 12, "shipped": 12, "cancelled": 12, "unavailable": 12, "open": 12}
    assert states(SUBSCRIPTION) == {"active": 20, "ended": 20, "paused": 20}
    assert states(APPOINTMENT) == {"attended": 40, "missed": 40}


def test_onboarding_ends_with_a_preview(drafted):
    text = (drafted / "mine" / "preview.md").read_text()
    assert "| market_orders | order | 60 | 60 | 0 | 0 |" in text
    assert "| market_order_items | order_line.order_id | order | 120 | 100.0 % |" in text
    assert "| club_memberships | subscription.location_id | location | 60 | 100.0 % |" in text
    assert "| 2024-04 | 36 | 995.80 |" in text  # without cancelled and unavailable orders
    sections = {part.split("\n")[0]: part for part in text.split("\n## ")}
    before = sections["club_memberships: as delivered, for subscription"]
    assert "| Contract No |" in before and before.count("\n| V") == 20
    output = (drafted / "output.txt").read_text()
    assert "| club_memberships | subscription.location_id | location | 60 | 100.0 % |" in output
    assert "as delivered" not in output
    assert output.index("## Revenue by month") < output.index("To decide (") < output.index('Recommended: "Drops"')


def test_a_source_that_fails_is_left_out_of_the_preview(spark, drafted, tmp_path, capsys):
    shutil.copytree(drafted / "mine", tmp_path / "mine")
    for path in (tmp_path / "mine" / "sources").glob("club_*.yaml"):
        path.unlink()
    orders = tmp_path / "mine" / "sources" / "market_orders.yaml"
    orders.write_text(orders.read_text().replace("order_id:", "order_idd:"))
    assert run("preview", ["--conf", str(tmp_path / "mine" / "company.yaml")]) == 0
    output = capsys.readouterr().out
    assert "- market_orders: left out: " in output and "unknown column" in output
    assert "| market_order_payments | payment | 60 | 60 | 0 | 0 |" in output


def test_answers_are_recommended_and_applied(drafted, tmp_path):
    answers = (drafted / "mine" / "answers.yaml").read_text()
    assert '"key": "company.name", "answer": "Drops"' in answers
    (tmp_path / "answers.yaml").write_text(answers.replace('"Drops"', '"Club and market"'))
    arguments = [
        "--data",
        str(drafted / "drops"),
        "--out",
        str(tmp_path / "mine"),
        "--answers",
        str(tmp_path / "answers.yaml"),
        "--no-preview",
    ]
    assert run("onboard", arguments) == 0
    assert 'name: "Club and market"' in (tmp_path / "mine" / "company.yaml").read_text()


def test_columns_are_csv(drafted):
    """Guards the inputs above: each line has as many cells as its header."""
    for lines in FILES.values():
        delimiter = ";" if ";" in lines[0] else ","
        assert len({len(cells) for cells in csv.reader(lines, delimiter=delimiter)}) == 1
