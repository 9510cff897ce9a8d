"""Onboarding of a single source: the draft is valid, and ingest and clean run with it."""

from decimal import Decimal

import pytest
from support.lake import lake_context

from crm_spark.cli.app import run
from crm_spark.contracts.silver import ORDER, ORDER_LINE, PERSON
from crm_spark.quality.rules import load_rules
from crm_spark.sources.config import load_source
from crm_spark.stages.clean import stage as clean
from crm_spark.stages.ingest import stage as ingest

HEAD = "Bestellnr;Kundennr;Artikel;Menge;Einzelpreis;Bestelldatum;Bemerkung;EMail;Name"
LINES = [
    f"B{i // 2};K{i % 7};A{i % 3};{1 + i % 4};{i},50;{1 + i % 28:02}.01.2025;schön;ada{i % 7}@example.com;Frau Ada von Ach"
    for i in range(60)
]


def run_onboard(tmp_path, *more):
    arguments = ["--source", "orders", "--data", str(tmp_path / "data"), "--path", "*/orders*.csv"]
    return run("onboard", [*arguments, "--out", str(tmp_path / "conf"), *more])


@pytest.fixture
def data(tmp_path):
    (tmp_path / "data" / "1").mkdir(parents=True)
    (tmp_path / "data" / "1" / "orders.csv").write_text("\n".join([HEAD, *LINES]) + "\n", encoding="windows-1252")
    return tmp_path


def test_draft_is_valid_and_its_rows_reach_silver(spark, data, capsys):
    assert run_onboard(data) == 0
    source = load_source(data / "conf" / "sources" / "orders.yaml")
    assert (source.files.options.delimiter, source.files.options.encoding, source.decimal) == (";", "windows-1252", ",")
    assert set(source.feeds) == {"order", "order_line", "person", "product"}
    assert source.feeds["order"].one_row_per_key and source.feeds["order"].columns["ordered_at"].formats == [
        "dd.MM.yyyy"
    ]
    output = capsys.readouterr().out
    assert (
        "EMail: email, 0 of 60, about 7, 16, personal data" in output
        and "Not mapped (stored in bronze only): Bemerkung" in output
    )
    names = source.feeds["person"].columns
    assert (names["given_name"].part, names["family_name"].part) == ("given", "family")
    assert "Name: text, 0 of 60, about 1, 16, personal data" in output and "Ach" not in output
    assert "schön" not in output and "ada1@" not in output, "a draft contains no values"
    paths = (f"ingest.sources_dir={data / 'conf' / 'sources'}", f"ingest.data_dir={data / 'data'}")
    ctx = lake_context(spark, data / "lake", *paths)
    ingest.run(ctx)
    clean.run(ctx)
    assert (ctx.tables.read(ORDER).count(), ctx.tables.read(ORDER_LINE).count()) == (30, 60)
    assert ctx.tables.read(ORDER_LINE).where("order_id = 'B1' and product_id = 'A2'").first()["unit_price"] == Decimal(
        "2.5"
    )
    assert {(p["given_name"], p["family_name"]) for p in ctx.tables.read(PERSON).collect()} == {("Ada", "von Ach")}


def test_drafted_rules_are_the_observed_ranges_as_warnings(spark, data):
    run_onboard(data)
    (rule,) = load_rules(data / "conf" / "quality").of("order_line")
    assert (rule.code, rule.params, rule.severity) == ("unusual_quantity", {"low": 1.0, "high": 4.0}, "warn")


def test_existing_draft_is_not_overwritten(spark, data, capsys):
    path = data / "conf" / "sources" / "orders.yaml"
    path.parent.mkdir(parents=True)
    path.write_text("mine")
    assert run_onboard(data) == 2
    assert "exists already" in capsys.readouterr().err and path.read_text() == "mine"


def test_damaged_or_missing_file_is_reported(data, capsys):
    (data / "data" / "1" / "orders.csv").write_bytes(b"a;b\n1;\0\n")
    assert run_onboard(data) == 2
    assert "orders.csv: nul_bytes" in capsys.readouterr().err
    (data / "data" / "1" / "orders.csv").unlink()
    assert run_onboard(data) == 2
    assert " matches. `*` matches part of a name" in capsys.readouterr().err
