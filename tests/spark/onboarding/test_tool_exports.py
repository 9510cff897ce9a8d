"""Files as shops, help desks and spreadsheets export them are drafted without a person's help, and their rows reach silver."""

import csv
import json
import zipfile

import pytest
from support.lake import lake_context
from support.workbook import workbook

from crm_spark.cli.app import run
from crm_spark.contracts.ops import QUARANTINE
from crm_spark.contracts.silver import INTERACTION, ORDER, ORDER_LINE, PERSON, PRODUCT
from crm_spark.sources.config import load_sources
from crm_spark.stages.clean import stage as clean
from crm_spark.stages.ingest import stage as ingest

NUM_ORDERS = 60
SHOP = (
    "Name,Email,Financial Status,Currency,Created at,Lineitem quantity,Lineitem name,Lineitem price,Lineitem sku,"
    "Billing Name,Billing Street,Billing City,Billing Zip,Billing Country"
)


def nested_orders():
    """Orders of an online shop: the customer in an object, the lines in a list."""
    return [
        {
            "id": 5000 + i, "number": str(5000 + i), "status": "cancelled" if i % 10 == 0 else "completed", "currency": "EUR",
            "date_created": f"2024-04-{1 + i % 28:02}T10:00:00", "customer_id": 100 + i % 20,
            "billing": {"first_name": "Ada", "last_name": f"Stern{i % 20}", "email": f"s{i % 20}@example.org", "city": "Bonn"},
            "shipping": {"first_name": "Bea", "city": "Ulm"},
            "line_items": [{"id": 10 * i + k, "sku": f"S{k}", "name": "Lamp", "quantity": k + 1, "price": 9.5} for k in range(i % 3)],
        }
        for i in range(NUM_ORDERS)
    ]  # fmt: skip


def lay_out(root):
    root.mkdir()
    (root / "woo_orders.json").write_text(json.dumps(nested_orders()))
    tickets = [
        {"id": 700 + i, "subject": "late", "requester_id": 100 + i % 20, "created_at": f"2024-05-{1 + i % 28:02}T10:00:00Z",
         "description": f"where is parcel {i}"} for i in range(40)
    ]  # fmt: skip
    (root / "desk_tickets.json").write_text(json.dumps({"tickets": tickets, "count": 40, "next_page": None}))
    people = [[i, f"Ada{i}", f"Eins{i}", f"e{i}@example.net", f"{50000 + i}", "Bonn"] for i in range(900, 930)]
    header = ["Kundennummer", "Vorname", "Nachname", "E-Mail", "PLZ", "Ort"]
    sheets = {"Info": [["intern"]], "Kunden": [["Kundenliste, Stand 1. Mai"], [], header, *people]}
    (root / "kunden.xlsx").write_bytes(workbook(sheets))
    lines = [
        f"R{i};{900 + i % 30};{1 + i % 28:02}.04.2024;A{i % 7};{1 + i % 3};{9 + i % 5},50" for i in range(NUM_ORDERS)
    ]
    report = [
        "Umsatzbericht;;;",
        "Erstellt am;02.05.2024;;",
        "",
        "Bestellnr;Kundennummer;Datum;Artikelnr;Menge;Einzelpreis",
        *lines,
        "Summe;;;;120;",  # 20 orders each of 1, 2 and 3 units
    ]
    (root / "umsatz.csv").write_text("\n".join([*report, ""]))
    for month in (1, 2):
        with zipfile.ZipFile(root / f"erp_2024-0{month}.zip", "w") as archive:
            rows = [f"P{month}{i};Chair {i};{i % 4}{i},90" for i in range(20)]
            archive.writestr(f"data/items_{month}.csv", "\n".join(["Artikelnummer;Bezeichnung;Listenpreis", *rows, ""]))
            archive.writestr("data/readme.txt", "made by the ERP")
    with zipfile.ZipFile(root / "unsafe.zip", "w") as archive:
        archive.writestr("../outside.csv", "a,b\n1,2\n")
    with (root / "shop_export.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(SHOP.split(","))
        for i in range(NUM_ORDERS):
            who = (f"p{i % 15}@example.com", "paid", "EUR", f"2024-03-{1 + i % 28:02} 09:50:26 +0100")
            address = (f"Lena Ost{i % 15}", "Birkenweg 3", "Hamburg", "'20095", "DE")
            rows.writerow((f"#{1000 + i}", *who, 1, "Shirt", "40.00", "SH-1", *address))
            rows.writerow((f"#{1000 + i}", who[0], "", "", who[3], 2, "Sock", "10.00", "SO-0", *[""] * 5))


@pytest.fixture(scope="module")
def drafted(spark, tmp_path_factory):
    root = tmp_path_factory.mktemp("exports")
    lay_out(root / "drops")
    assert run("onboard", ["--data", str(root / "drops"), "--out", str(root / "mine"), "--no-preview"]) == 0
    return root


def test_every_file_is_drafted(drafted):
    sources = {source.name: source for source in load_sources(drafted / "mine" / "sources")}
    assert {name: set(source.feeds) for name, source in sources.items()} == {
        "woo_orders": {"person", "order", "order_line", "product"}, "desk_tickets": {"interaction"}, "kunden": {"person"},
        "items": {"product"}, "umsatz": {"order", "order_line"}, "shop": {"person", "order", "order_line", "product"},
    }  # fmt: skip
    assert sources["desk_tickets"].files.records == "tickets"
    assert (sources["kunden"].files.format, sources["kunden"].files.table.sheet) == ("excel", "Kunden")
    assert sources["items"].files.path == "**/erp_*.zip!**/items_*.csv"
    assert sources["umsatz"].files.table.header_contains == ["Bestellnr", "Kundennummer", "Datum"]
    totals = [(c.column, c.matches) for feed in sources["umsatz"].feeds.values() for c in feed.leave_out]
    assert totals == [("Bestellnr", r"(?iu)^[^\p{L}\p{N}]*(?:summe)[^\p{L}\p{N}]*$")] * 2
    answers = (drafted / "mine" / "answers.yaml").read_text()
    assert "1 line of totals in 'Bestellnr' is left out: the sums of 'Menge' agree." in answers
    woo = sources["woo_orders"].feeds
    assert {name: feed.each for name, feed in woo.items()} == {
        "person": None, "order": None, "order_line": "line_items", "product": "line_items",
    }  # fmt: skip
    assert woo["person"].columns["given_name"].from_ == ["billing.first_name"]
    assert woo["order_line"].columns["line_id"].from_ == ["line_items.id"]
    shop = sources["shop"].feeds
    assert shop["order"].columns["order_id"].from_ == shop["order_line"].columns["order_id"].from_ == ["Name"]
    assert shop["order"].one_row_per_key and shop["person"].columns["family_name"].from_ == ["Billing Name"]
    assert shop["order"].columns["status"].from_ == ["Financial Status"]


def test_their_rows_reach_silver(spark, drafted):
    ctx = lake_context(spark, drafted / "lake", conf=drafted / "mine" / "company.yaml")
    ingest.run(ctx)
    clean.run(ctx)

    def counts(contract):
        return {row["source"]: row["count"] for row in ctx.tables.read(contract).groupBy("source").count().collect()}

    assert counts(ORDER) == {"woo_orders": 60, "umsatz": 60, "shop": 60}
    assert counts(ORDER_LINE) == {"woo_orders": 60, "umsatz": 60, "shop": 120}
    assert counts(PERSON) == {"woo_orders": 20, "kunden": 30, "shop": 15}
    assert ctx.tables.read(PRODUCT).where("source = 'items'").count() == 40
    assert counts(INTERACTION) == {"desk_tickets": 40}
    assert ctx.tables.read(ORDER).where("status = 'cancelled' and source = 'woo_orders'").count() == 6
    assert ctx.tables.read(QUARANTINE).where("status = 'quarantined'").count() == 0
