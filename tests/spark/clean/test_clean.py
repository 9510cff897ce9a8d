"""Clean stage end to end: every row is accepted, quarantined with reasons, or a duplicate."""

import shutil
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from pathlib import Path

import pytest
from support.company import SECOND, deliver, lay_out
from support.lake import lake_context

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import DELIVERY, FINDING, QUARANTINE, RECONCILIATION, SUPERSEDED
from crm_spark.contracts.silver import FEEDBACK, ORDER, ORDER_LINE, PERSON
from crm_spark.settings import load_settings
from crm_spark.stages.clean import stage as clean
from crm_spark.stages.ingest import stage as ingest


@pytest.fixture
def company(cleaned_company, make_context, tmp_path):
    """Runs ingest and clean on the hand-made company and returns the context.

    The first run of an unchanged company is a copy of one that was made before.
    """

    def refreshed(*, fingerprint="1" * 64, overrides=()):
        path = tmp_path / "company.yaml"
        is_copy = not path.exists()
        if is_copy:
            shutil.copytree(cleaned_company, tmp_path, dirs_exist_ok=True)
        ctx = replace(make_context(fingerprint=fingerprint), settings=load_settings(path, list(overrides)))
        if not is_copy:
            ingest.run(ctx)
            clean.run(ctx)
        return ctx

    return refreshed


@pytest.fixture(scope="module")
def first(spark, cleaned_company):
    """The first delivery after ingest and clean; read only."""
    settings = load_settings(cleaned_company / "company.yaml", [])
    return replace(lake_context(spark, cleaned_company / "lake"), settings=settings)


def statuses(ctx):
    columns = ("num_in", "num_accepted", "num_quarantined", "num_duplicate")
    return {
        (r["source"], r["entity"], r["batch_id"]): tuple(r[c] for c in columns)
        for r in ctx.tables.read(RECONCILIATION).collect()
    }


def reasons(ctx):
    return {(r["entity"], r["position"]): r["reasons"] for r in ctx.tables.read(QUARANTINE).collect()}


def test_row_counts_reconcile_with_reasons(first):
    ctx = first
    by_entity = {entity: counts for (_, entity, _), counts in statuses(ctx).items()}
    assert by_entity["order_line"] == (12, 6, 5, 1)
    # orders: lines without a number carry no order; A1 and A2 stand for two lines each
    assert by_entity["order"] == (11, 5, 4, 2)
    assert by_entity["feedback"] == (4, 3, 1, 0)
    assert reasons(ctx) == {
        ("order_line", 3): ["exact_duplicate"],
        ("order_line", 4): ["non_positive_price"],
        ("order_line", 5): ["non_positive_quantity"],
        ("order_line", 6): ["bad_number"],
        ("order_line", 10): ["missing_required"],
        ("order_line", 11): ["malformed_record"],
        ("order", 7): ["bad_date"],
        ("order", 8): ["future_date"],
        ("order", 9): ["unknown_value"],
        ("order", 11): ["malformed_record"],
        ("feedback", 2): ["bad_rating"],
    }


def test_findings_are_counted_with_an_example(first):
    findings = {(r["entity"], r["code"], r["column"]): (r["num_rows"], r["severity"], r["file"], r["position"])
             for r in first.tables.read(FINDING).collect()}  # fmt: skip
    file = "1/orders.csv"
    assert {key: value for key, value in findings.items() if key[0] == "order_line"} == {
        ("order_line", "non_positive_price", "unit_price"): (1, "quarantine", file, 4),
        ("order_line", "non_positive_quantity", "quantity"): (1, "quarantine", file, 5),
        ("order_line", "bad_number", "quantity"): (1, "quarantine", file, 6),
        ("order_line", "missing_required", "order_id"): (1, "quarantine", file, 10),
        ("order_line", "malformed_record", "*"): (1, "quarantine", file, 11),
        # the orders of three lines were quarantined
        ("order_line", "unknown_order", "order_id"): (3, "warn", file, 7),
    }
    notes = {r["line_id"]: r["notes"] for r in first.tables.read(ORDER_LINE).where("notes IS NOT NULL").collect()}
    assert notes == {f"A{n}-1": ["unknown_order:order_id"] for n in (6, 7, 8)}


def test_times_are_utc_and_money_is_exact(first):
    ctx = first
    order = ctx.tables.read(ORDER).where("order_id = 'A1'").first()
    assert order["ordered_at"] == datetime(2025, 1, 5, 22, 30)  # 23:30 in Berlin in winter
    line = ctx.tables.read(ORDER_LINE).where("line_id = 'A1-1'").first()
    assert (line["unit_price"], line["currency"], line["amount"]) == (
        Decimal("10.5"),
        "USD",
        Decimal("10.5"),
    )  # 2 x 10.5 x 0.5


def test_texts_are_unchanged(first):
    texts = {r["feedback_id"]: r["text"] for r in first.tables.read(FEEDBACK).collect()}
    assert texts == {"r1": 'Good, "really" good.\nTwo lines, one comma.', "r2": "  kept as written  ", "r4": None}


def test_bronze_keeps_the_cells_of_a_broken_row_and_its_raw_text(first):
    ctx = first
    row = ctx.tables.read(bronze("orders")).where("_position = 11").first()
    assert row["_corrupt"] == "A9" and row["_row_id"].endswith(":0:11")


MIXED = """
files: {path: "*.csv", format: csv}
country: DE
feeds:
  person: {columns: {person_id: who, email: mail, phone: phone}}
  order:
    one_row_per_key: true
    columns: {order_id: no, person_id: who, ordered_at: day, status: {from: state, map: {ok: completed, void: cancelled}}}
"""


def test_invalid_values_and_conflicting_rows_are_reported(spark, tmp_path, caplog):
    """An invalid e-mail becomes null, one of several order statuses is kept; both are recorded as findings.

    Two rows of the order are completed and two cancelled: two have another status than the row that is kept, whichever it is.
    """
    (tmp_path / "sources").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "sources" / "mixed.yaml").write_text(MIXED)
    rows = [
        "A,1,ada@post,call me,2025-01-01,ok",
        "A,2,n/a,030 1234567,2025-01-01,void",
        "A,3,b@c.de,,2025-01-01,ok",
        "A,4,d@e.de,,2025-01-01,void",
    ]
    (tmp_path / "data" / "m.csv").write_text("\n".join(["no,who,mail,phone,day,state", *rows]) + "\n")
    paths = (f"ingest.sources_dir={tmp_path / 'sources'}", f"ingest.data_dir={tmp_path / 'data'}")
    ctx = lake_context(spark, tmp_path / "lake", *paths)
    ingest.run(ctx)
    clean.run(ctx)
    assert ctx.tables.read(ORDER).count() == 1
    findings = {
        (r["entity"], r["code"], r["column"], r["severity"]): r["num_rows"] for r in ctx.tables.read(FINDING).collect()
    }
    assert findings == {
        ("person", "bad_email", "email", "nulled"): 1,
        ("person", "placeholder", "email", "nulled"): 1,
        ("person", "bad_phone", "phone", "nulled"): 1,
        ("order", "conflicting_values", "person_id", "warn"): 3,
        ("order", "conflicting_values", "status", "warn"): 2,
    }
    notes = {r["person_id"]: r["notes"] for r in ctx.tables.read(PERSON).collect()}
    assert notes == {"1": ["bad_email:email", "bad_phone:phone"], "2": ["placeholder:email"], "3": None, "4": None}
    messages = [" ".join(record.getMessage().split()) for record in caplog.records]
    assert "clean order 4 rows in = 1 accepted + 0 quarantined + 3 duplicates" in messages
    assert "clean order 2 warnings: conflicting_values (status)" in messages
    assert "clean person 1 values set to null: bad_email (email)" in messages
    assert clean.run(lake_context(spark, tmp_path / "lake", *paths)).note.startswith("no new deliveries")


def test_second_delivery_adds_only_new_rows(company, tmp_path):
    company()
    deliver(tmp_path, "2", SECOND, [])
    ctx = company(fingerprint="2" * 64)
    second = [counts for (_, entity, _), counts in statuses(ctx).items() if entity == "order_line" and counts[0] == 2]
    assert second == [(2, 1, 0, 1)]
    assert ctx.tables.read(ORDER_LINE).count() == 7


def test_accepted_rows_are_in_silver_or_in_superseded(company, tmp_path):
    lines = [f"N{i};1;K{i % 3};X;{{}};2,00;05.01.2025 10:00;OK" for i in range(12)]
    company()
    for day in range(2, 5):
        deliver(tmp_path, str(day), [line.format(day) for line in lines], [])
        ctx = company(fingerprint=f"{day:064}")
    current = ctx.tables.read(ORDER_LINE)
    superseded = ctx.tables.read(SUPERSEDED).where("entity = 'order_line'")
    assert superseded.join(current, "row_id", "left_semi").count() == 0
    counts = [
        {row["batch_id"]: row["count"] for row in frame.groupBy("batch_id").count().collect()}
        for frame in (current, superseded)
    ]
    accepted = {batch: number[1] for (_, entity, batch), number in statuses(ctx).items() if entity == "order_line"}
    assert {batch: sum(c.get(batch, 0) for c in counts) for batch in accepted} == accepted
    assert sum(accepted.values()) > current.count() == 6 + 12
    by = {row["by_row_id"] for row in superseded.collect()}
    known = {row["row_id"] for row in current.collect()} | {row["row_id"] for row in superseded.collect()}
    assert by <= known, "a replacing row is in silver or superseded itself"


def test_running_again_changes_no_table(company):
    ctx = company()
    tables = (DELIVERY, bronze("orders"), ORDER, ORDER_LINE, FEEDBACK, QUARANTINE, RECONCILIATION)
    before = [ctx.tables.version(t) for t in tables]
    company(fingerprint="3" * 64)
    assert [ctx.tables.version(t) for t in tables] == before


def test_file_with_known_content_under_another_name_is_skipped(company, tmp_path):
    company()
    (tmp_path / "data" / "9").mkdir()
    (tmp_path / "data" / "9" / "orders.csv").write_bytes((tmp_path / "data" / "1" / "orders.csv").read_bytes())
    ctx = company(fingerprint="4" * 64)
    assert ctx.tables.read(bronze("orders")).count() == 12
    status = ctx.tables.read(DELIVERY).where("file = '9/orders.csv'").first()
    assert (status["status"], status["reason"]) == ("skipped", "same_bytes")


def test_unreadable_file_is_rejected_and_the_others_are_ingested(company, tmp_path):
    lay_out(tmp_path)
    (tmp_path / "data" / "1" / "orders-broken.csv").write_text("")
    ctx = company()
    assert {r["file"]: r["status"] for r in ctx.tables.read(DELIVERY).where("status <> 'planned'").collect()} == {
        "1/orders.csv": "ingested",
        "1/reviews.csv": "ingested",
        "1/orders-broken.csv": "rejected",
    }


def test_columns_are_matched_by_name_not_position(company, tmp_path):
    company()
    folder = tmp_path / "data" / "2"
    folder.mkdir()
    (folder / "orders.csv").write_text(
        "Price;Qty;No;Pos;Customer;Item;Day;State;Extra\n4,00;3;C1;1;K9;Z;09.01.2025 10:00;OK;x\n"
    )
    ctx = company(fingerprint="5" * 64)
    line = ctx.tables.read(ORDER_LINE).where("order_id = 'C1'").first()
    assert (line["quantity"], line["unit_price"], line["product_id"]) == (3.0, Decimal("4"), "Z")
    assert ctx.tables.read(bronze("orders")).where("No = 'C1'").first()["Extra"] == "x"


def test_mostly_quarantined_delivery_is_blocked_and_the_others_are_not(make_context, tmp_path):
    lay_out(tmp_path)
    rows = [f"D{i};1;K1;X;{'none' if i < 25 else 1};1,00;05.01.2025 10:00;OK" for i in range(30)]
    deliver(tmp_path, "1", rows, [])
    settings = load_settings(tmp_path / "company.yaml", ["clean.max_quarantined_fraction=0.8"])
    ctx = replace(make_context(), settings=settings)
    ingest.run(ctx)
    result = clean.run(ctx)
    assert "orders -> order_line: batch" in result.blocked and "mostly_quarantined" in result.blocked
    assert {entity: counts for (_, entity, _), counts in statuses(ctx).items()} == {
        "order_line": (30, 0, 30, 0), "order": (30, 30, 0, 0), "feedback": (4, 3, 1, 0),
    }  # fmt: skip
    assert ctx.tables.read(ORDER_LINE).count() == 0 and ctx.tables.read(ORDER).count() == 30
    assert {tuple(r) for n, r in reasons(ctx).items() if n[0] == "order_line"} == {("mostly_quarantined",)}


def test_touched_file_with_equal_content_is_not_ingested_again(company, tmp_path):
    company()
    path = Path(tmp_path / "data" / "1" / "orders.csv")
    path.touch()
    ctx = company(fingerprint="6" * 64)
    assert ctx.tables.read(bronze("orders")).count() == 12
