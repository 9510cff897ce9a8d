"""Onboarding of a folder end to end: sources, systems and open questions are drafted, and the rows reach silver."""

import csv
import io
import json
from contextlib import redirect_stdout
from decimal import Decimal

import pytest
from support.lake import lake_context

from crm_spark.cli.app import run
from crm_spark.contracts.ops import QUARANTINE
from crm_spark.contracts.silver import INTERACTION, ORDER, ORDER_LINE, PERSON
from crm_spark.onboarding.id_overlap import ids_in, overlaps
from crm_spark.quality.rules import load_rules
from crm_spark.settings import load_settings
from crm_spark.sources.config import load_sources
from crm_spark.stages.clean import stage as clean
from crm_spark.stages.ingest import stage as ingest

NUM_CUSTOMERS, NUM_ORDERS = 40, 30


def table(path, header, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="windows-1252", newline="") as file:
        csv.writer(file, delimiter=";").writerows([header.split(";"), *rows])


def lay_out(root):
    """A shop in German CSV, a mailing tool in JSON lines, and unsupported files."""
    customers = [
        (
            f"{3000 + 7 * i}",
            "Jörg" if i % 2 else "Ada",
            f"Weiß{i}",
            f"w{i}@example.org",
            "Köln",
            "Deutschland",
            "ja" if i % 3 else "nein",
        )
        for i in range(NUM_CUSTOMERS)
    ]
    table(root / "shop" / "Kunden_2024-12-31.csv", "Kundennr;Vorname;Nachname;E-Mail;Ort;Land;Newsletter", customers)
    for month in (11, 12):
        orders, lines = [], []
        for i in range(NUM_ORDERS):
            number = f"R{month}-{i:03}"
            orders.append((number, customers[(i * 3 + month) % NUM_CUSTOMERS][0], f"{1 + i % 28:02}.{month}.2024 09:30",
                           "geliefert" if i % 5 else "storniert", "EUR"))  # fmt: skip
            lines += [(number, 1, f"A{i % 6}", 2, "10,50"), (number, 2, f"A{(i + 1) % 6}", 1, "1.003,00")]
        table(
            root / "shop" / f"Bestellungen_2024-{month}.csv", "Bestellnr;Kundennr;Bestelldatum;Status;Währung", orders
        )
        table(root / "shop" / f"Positionen_2024-{month}.csv", "Bestellnr;Pos;Artikelnr;Menge;Einzelpreis", lines)
    tool = root / "tool"
    tool.mkdir()
    members = [
        {"id": f"m-{i:04x}", "email": f"w{i}@example.org", "status": ("subscribed", "unsubscribed")[i % 4 == 0],
         "subscribed_at": "2024-05-01T10:00:00Z"}
        for i in range(25)
    ]  # fmt: skip
    events = [
        {
            "event_id": f"e{i}",
            "subscriber_id": members[i % 25]["id"],
            "campaign": "c1",
            "event": "open",
            "occurred_at": 1736000000 + i,
        }
        for i in range(60)
    ]
    for name, records in (("members.jsonl", members), ("mail_events_2025Q1.jsonl", events)):
        (tool / name).write_text("\n".join(map(json.dumps, records)))
    (root / "notes.xlsx").write_bytes(b"PK")
    (root / "shop" / "Positionen_2024-10.csv").write_bytes(b"Bestellnr;Pos;Artikelnr;Menge;Einzelpreis\nx;1;\0;1;1\n")
    (root / "shop" / ".Kunden.csv").write_text("a;b\n1;2\n")


@pytest.fixture(scope="module")
def drafted(spark, tmp_path_factory):
    """The drafted folder and the command output."""
    root = tmp_path_factory.mktemp("company")
    lay_out(root / "drops")
    with redirect_stdout(io.StringIO()) as output:
        assert run("onboard", ["--data", str(root / "drops"), "--out", str(root / "mine"), "--no-preview"]) == 0
    return root, output.getvalue()


def test_files_are_grouped_into_sources_of_two_systems(drafted):
    root, _ = drafted
    sources = {source.name: source for source in load_sources(root / "mine" / "sources")}
    assert {name: (source.system, source.files.path, set(source.feeds)) for name, source in sources.items()} == {
        "kunden": ("shop", "**/Kunden_*.csv", {"person"}),
        "bestellungen": ("shop", "**/Bestellungen_*.csv", {"order"}),
        "positionen": ("shop", "**/Positionen_*.csv", {"order_line"}),
        "members": ("tool", "**/members*.jsonl", {"person"}),
        "mail_events": ("tool", "**/mail_events_*.jsonl", {"interaction"}),
    }
    assert (sources["kunden"].country, sources["bestellungen"].time_zone) == ("DE", "Europe/Berlin")
    assert sources["positionen"].currency == "EUR" and sources["positionen"].decimal == ","
    assert sources["mail_events"].time_zone is None, "its times have a zone"
    text = (root / "mine" / "sources" / "bestellungen.yaml").read_text()
    # 3 * i + month of 30 orders: 30 customers of 40 a month, of both months all 40.
    assert "# system: Kundennr: 100 % of its 40 values are in kunden's Kundennr\n" in text
    assert "# time_zone: inferred: default of DE\n" in text


def test_output_lists_skipped_files_questions_and_the_next_command(drafted):
    root, output = drafted
    assert "notes.xlsx: Cannot read it as a workbook" in output and "shop/Positionen_2024-10.csv: nul bytes" in output
    assert "shop/.Kunden.csv: hidden or temporary file" in output and "Not drafted (3 files)" in output
    assert f"1. {root / 'mine' / 'company.yaml'}:5 company.name" in output and "To decide (2)" in output
    assert "country DE (40 of 40 records), currency EUR (30 of 30 records), time_zone Europe/Berlin" in output
    assert f"jobs/refresh.py --conf {root / 'mine' / 'company.yaml'}" in output
    assert "example.org" not in output and "Weiß" not in output


@pytest.mark.slow
def test_drafted_sources_load_into_silver(spark, drafted):
    root, _ = drafted
    settings = load_settings(root / "mine" / "company.yaml", [])
    assert (settings.company.currency, settings.lake) == ("EUR", str(root / "lake"))
    ctx = lake_context(spark, root / "lake", conf=root / "mine" / "company.yaml")
    ingest.run(ctx)
    clean.run(ctx)
    order, line = ctx.tables.read(ORDER), ctx.tables.read(ORDER_LINE)
    assert (order.count(), line.count()) == (2 * NUM_ORDERS, 4 * NUM_ORDERS)
    assert order.where("status = 'cancelled'").count() == 12  # 6 of 30 a month
    assert line.where("order_id = 'R11-000' and line_id = 'R11-000-2'").first()["unit_price"] == Decimal("1003")
    at = order.where("order_id = 'R11-000'").first()["ordered_at"]
    assert at.isoformat() == "2024-11-01T08:30:00", "half past nine in Berlin"
    people = ctx.tables.read(PERSON)
    assert {(row["system"], row["count"]) for row in people.groupBy("system").count().collect()} == {
        ("shop", 40),
        ("tool", 25),
    }
    assert people.where("system = 'tool' and not has_marketing_consent").count() == 7  # 0, 4 ... 24
    assert ctx.tables.read(INTERACTION).where("kind = 'mail' and system = 'tool'").count() == 60
    assert ctx.tables.read(QUARANTINE).count() == 0


def test_second_run_drafts_only_new_sources(drafted, capsys):
    root, _ = drafted
    company = root / "mine" / "company.yaml"
    before = company.read_text() + "# mine\n"
    company.write_text(before)
    (root / "drops" / "reviews.csv").write_text("review_id,product,text,stars\n1,A1,good,5\n2,A2,bad,1\n")
    assert run("onboard", ["--data", str(root / "drops"), "--out", str(root / "mine"), "--no-preview"]) == 0
    output = capsys.readouterr().out
    assert "8 files belong to sources that are configured already" in output and "was not changed" in output
    assert "reviews (1 file, **/reviews*.csv)" in output and "kunden" not in output
    assert company.read_text() == before
    assert load_rules(root / "mine" / "quality").of("feedback")


def test_invalid_arguments_and_empty_folder_are_rejected(tmp_path, capsys):
    assert run("onboard", ["--data", str(tmp_path), "--source", "x"]) == 2
    assert "neither for the whole directory" in capsys.readouterr().err
    assert run("onboard", ["--data", str(tmp_path)]) == 2
    assert "--out is required for a whole directory" in capsys.readouterr().err
    assert run("onboard", ["--data", str(tmp_path), "--out", str(tmp_path / "mine")]) == 2
    assert "the folder contains no files" in capsys.readouterr().err


def test_overlap_is_counted_with_the_people_behind_the_numbers(spark):
    shop = spark.createDataFrame([(str(i), f"a{i}@x.org") for i in range(1, 21)], "id string, mail string")
    desk = spark.createDataFrame(
        [(f"{i}.0", f"B{i}@x.org") for i in range(1, 11)] + [("99", None)], "no string, mail string"
    )
    frames = [ids_in(shop, "shop", {"person_id": "id"}, "mail"), ids_in(desk, "desk", {"person_id": "no"}, "mail")]
    (overlap,) = overlaps(frames)
    assert (overlap.smaller.source, overlap.larger.source, overlap.num_shared, overlap.share) == (
        "desk",
        "shop",
        10,
        10 / 11,
    )
    assert (overlap.smaller.num_ids, overlap.smaller.min_id, overlap.smaller.max_id) == (11, 1.0, 99.0)
    assert (overlap.num_with_email, overlap.num_same_email) == (10, 0)
