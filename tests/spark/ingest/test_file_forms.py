"""Tables with other lines around them, in workbooks, in columns of fixed width, and nested JSON: files as tools export them."""

import datetime as dt
import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from support.workbook import workbook

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import DELIVERY, FINDING, QUARANTINE, RECONCILIATION
from crm_spark.contracts.silver import INTERACTION, ORDER, ORDER_LINE, PERSON, PRODUCT
from crm_spark.core.errors import InputError
from crm_spark.stages.clean import replay
from crm_spark.stages.clean import stage as clean
from crm_spark.stages.ingest import stage as ingest

PRODUCT_FEED = "feeds: {product: {columns: {product_id: id, name: name}}}\n"
SOURCES = {
    "remarks": "files: {path: remarks.csv, format: csv, table: {comment: '#', skip_lines: 1, footer_lines: 2}}\n" + PRODUCT_FEED,
    "found": "files: {path: found.csv, format: csv, table: {header_contains: [id, name]}}\n" + PRODUCT_FEED,
    "separator": "files: {path: separator.csv, format: csv, options: {delimiter: ';'}}\n" + PRODUCT_FEED,
    "bare": "files: {path: bare.csv, format: csv, table: {header: [id, name]}}\n" + PRODUCT_FEED,
    "again": "files: {path: again.csv, format: csv}\n"
    "feeds: {product: {leave_out: [{column: id, matches: '^(Total)?$'}], columns: {product_id: id, name: name}}}\n",
    "strict": "files: {path: strict.csv, format: csv, table: {rows: strict}}\n" + PRODUCT_FEED,
    "columns": "files: {path: columns.txt, format: fixed_width, table: {widths: {id: 4, name: 10, price: 6}}}\n"
    + PRODUCT_FEED.replace("name: name", "name: name, list_price: price"),
    "book": "files: {path: book.xlsx, format: excel, table: {sheet: Articles, header_contains: [id]}}\n"
    + PRODUCT_FEED.replace("name: name", "name: name, list_price: price, updated_at: {from: changed, formats: [iso]}"),
    "no_sheet": "files: {path: book2.xlsx, format: excel, table: {sheet: 3}}\n" + PRODUCT_FEED,
    "no_header": "files: {path: found2.csv, format: csv, table: {header_contains: [sku]}}\n" + PRODUCT_FEED,
}  # fmt: skip
FILES = {
    "remarks.csv": "# made by a tool\nReport of May\n# empty lines follow\n\nid,name\n"
    '1,"Lamp\n# no comment"\n# 2,Hidden\n3,Table\n\nTotal,2\nend\n',
    "found.csv": "Shop;x\nid\n\nid,name,note\n1,Lamp,\n2,Table\n",
    "separator.csv": "sep=;\nid;name\n1;Lamp\n",
    "bare.csv": "1,Lamp\n2,Table\n",
    "again.csv": "id,name\n1,Lamp\nid,name\n2,Table\n,\nTotal,2\n",
    "strict.csv": "id,name\n1,Lamp\n2\n3,Table,\n",
    "columns.txt": "1   Lamp        3.50\n\n22  Table\n",
    "found2.csv": "id,name\n1,Lamp\n",
}  # fmt: skip


def rows(ctx, contract, *columns, where="true"):
    return sorted(map(tuple, ctx.tables.read(contract).where(where).select(*columns).collect()))


def test_tables_among_other_lines(company):
    sheet = [
        ["Our shop"],
        [],
        ["id", "name", "price", "changed"],
        [1, "Lamp", 3.5, dt.datetime(2024, 5, 1, 12)],
        [2.0, "Table", 10, None],
    ]
    book = workbook({"Start": [["Hello"]], "Articles": sheet})
    ctx = company(SOURCES, {**FILES, "book.xlsx": book, "book2.xlsx": book})
    products = rows(ctx, PRODUCT, "source", "product_id", "name")
    assert products == [
        ("again", "1", "Lamp"), ("again", "2", "Table"), ("bare", "1", "Lamp"), ("bare", "2", "Table"), ("book", "1", "Lamp"),
        ("book", "2", "Table"), ("columns", "1", "Lamp"), ("columns", "22", "Table"), ("found", "1", "Lamp"), ("found", "2", "Table"),
        ("remarks", "1", "Lamp # no comment"), ("remarks", "3", "Table"), ("separator", "1", "Lamp"), ("strict", "1", "Lamp"),
    ]  # fmt: skip
    prices = rows(ctx, PRODUCT, "source", "product_id", "list_price", where="list_price is not null")
    assert [(*price[:2], float(price[2])) for price in prices] == [
        ("book", "1", 3.5),
        ("book", "2", 10.0),
        ("columns", "1", 3.5),
    ]
    assert rows(ctx, PRODUCT, "updated_at", where="updated_at is not null") == [(dt.datetime(2024, 5, 1, 12),)]
    rejected = rows(ctx, DELIVERY, "file", "reason", where="status = 'rejected'")
    assert rejected == [("book2.xlsx", "no_sheet"), ("found2.csv", "no_header")]
    assert rows(ctx, QUARANTINE, "source", "reasons") == [
        ("strict", ["malformed_record"]),
        ("strict", ["malformed_record"]),
    ]
    assert rows(ctx, FINDING, "source", "code", "num_rows", where="severity = 'info'") == [("again", "left_out", 2)]


ORDERS = [
    {"id": 1, "date": "2024-05-01T10:00:00", "status": "completed", "customer": {"id": 7, "mail": "a@ex.org"},
     "line_items": [{"id": 11, "sku": "A", "quantity": 2, "price": "5.00"}, {"id": 12, "sku": None, "quantity": 1, "price": 7.5}]},
    {"id": 2, "date": "2024-05-02T10:00:00", "status": "completed", "customer": None, "line_items": []},
    {"id": 3, "date": "2024-05-03T10:00:00", "status": "completed", "customer": {"id": 8},
     "line_items": [{"sku": "B", "quantity": 1, "price": 1}]},
]  # fmt: skip
NESTED = """
files: {{path: "{path}", format: {format}{more}}}
system: {name}
feeds:
  order:
    columns: {{order_id: id, person_id: customer.id, ordered_at: date, status: status}}
  order_line:
    each: line_items
    columns:
      {{line_id: line_items.id, order_id: id, product_id: line_items.sku, quantity: line_items.quantity,
        unit_price: line_items.price}}
"""


def test_nested_records_of_every_format(company):
    """JSON with and without a root, JSON in a CSV cell, and nested Parquet give the same orders and lines."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = [
        {**order, "customer": json.dumps(order["customer"]), "line_items": json.dumps(order["line_items"])}
        for order in ORDERS
    ]
    table = io.StringIO()
    import csv

    writer = csv.DictWriter(table, list(cells[0]))
    writer.writeheader()
    writer.writerows(cells)
    parquet = io.BytesIO()
    lines = [
        [{**line, "id": line.get("id"), "price": str(line["price"])} for line in order["line_items"]]
        for order in ORDERS
    ]
    customers = [order["customer"] and {"id": order["customer"]["id"]} for order in ORDERS]
    columns = {
        "id": [str(o["id"]) for o in ORDERS],
        "date": [o["date"] for o in ORDERS],
        "status": [o["status"] for o in ORDERS],
    }
    pq.write_table(pa.table({**columns, "customer": customers, "line_items": lines}), parquet)
    forms = {
        "plain": ("json", "", json.dumps(ORDERS)),
        "rooted": ("json", ", records: data.orders", json.dumps({"data": {"orders": ORDERS, "x": [1]}, "next": None}, indent=1)),
        "lines": ("jsonl", "", "".join(json.dumps(order) + "\n" for order in ORDERS)),
        "pages": ("jsonl", ", records: page", "".join(json.dumps({"page": [order], "n": 1}) + "\n" for order in ORDERS) + '{"n": 2}\n'),
        "cells": ("csv", "", table.getvalue()),
        "columnar": ("parquet", "", parquet.getvalue()),
    }  # fmt: skip
    sources = {
        name: NESTED.format(name=name, path=f"{name}.x", format=kind, more=more)
        for name, (kind, more, _) in forms.items()
    }
    ctx = company(sources, {f"{name}.x": content for name, (*_, content) in forms.items()})
    for name in forms:
        where = f"source = '{name}'"
        assert (
            rows(ctx, ORDER, "order_id", "person_id", where=where) == [("1", "7"), ("2", None), ("3", "8")]
            or name == "x"
        ), name
        found = rows(ctx, ORDER_LINE, "line_id", "order_id", "product_id", "quantity", "unit_price", where=where)
        assert [(*line[:4], float(line[4])) for line in found] == [
            ("11", "1", "A", 2.0, 5.0),
            ("12", "1", None, 1.0, 7.5),
        ], name
        (quarantined,) = rows(ctx, QUARANTINE, "row_id", "reasons", where=where)
        assert quarantined[1] == ["missing_required"] and quarantined[0].count(":") == 3, "an element without an id"
        counts = rows(ctx, RECONCILIATION, "entity", "num_in", "num_accepted", where=where)
        assert counts == [("order", 3, 3), ("order_line", 3, 2)]
    assert ctx.tables.read(bronze("plain")).count() == 3
    assert ctx.tables.read(ORDER_LINE).select("row_id").distinct().count() == 2 * len(forms)


def test_members_of_an_archive_and_values_from_their_names(company):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        for name in ("subscribed_1.csv", "unsubscribed_1.csv", "__MACOSX/._subscribed_1.csv", "cleaned_1.csv"):
            out.writestr(name, f"mail\n{name[:2]}@ex.org\n")
    feed = """
feeds:
  person:
    columns:
      person_id: mail
      email: mail
      has_marketing_consent:
        cases: [{column: _file, matches: "!subscribed", value: "yes"}, {column: _file, matches: "!unsub", value: "no"}]
"""
    sources = {
        "all": f"files: {{path: 'export*.zip', format: csv}}\n{feed}",
        "some": f"files: {{path: 'export*.zip!*subscribed*.csv', format: csv}}\n{feed}",
        "none": f"files: {{path: 'export*.zip!bounced*.csv', format: csv}}\n{feed}",
    }
    ctx = company(sources, {"export_1.zip": archive.getvalue()})
    people = [("cl@ex.org", None), ("su@ex.org", True), ("un@ex.org", False)]
    assert rows(ctx, PERSON, "person_id", "has_marketing_consent", where="source = 'all'") == sorted(people, key=str)
    assert rows(ctx, PERSON, "person_id", "has_marketing_consent", where="source = 'some'") == people[1:]
    assert rows(ctx, DELIVERY, "source", "reason", where="status = 'rejected'") == [("none", "no_member")]


def test_a_list_may_be_tickets_with_their_comments(company):
    tickets = {"tickets": [
        {"id": 35, "who": 9, "at": "2024-05-01T10:00:00Z", "comments": [{"body": 'where is "it"?\nthanks', "tags": ["late", "x"]}]},
        {"id": 36, "who": 9, "at": "2024-05-01T11:00:00Z", "comments": []},
    ]}  # fmt: skip
    source = """
files: {path: tickets.json, format: json, records: tickets}
feeds:
  interaction:
    columns: {interaction_id: id, person_id: who, happened_at: at, kind: {value: ticket}, text: comments.0.body, topic: comments.0.tags.0}
"""
    ctx = company({"desk": source}, {"tickets.json": json.dumps(tickets)})
    found = rows(ctx, INTERACTION, "interaction_id", "text", "topic")
    assert found == [("35", 'where is "it"?\nthanks', "late"), ("36", None, None)]


LOOKED_UP = """
files: {path: 'orders*.csv', format: csv}
system: shop
feeds:
  order:
    columns:
      order_id: id
      person_id: {from: visit, lookup: {source: visits, key: id, value: person}}
      ordered_at: at
      status: {value: completed}
      channel: {from: way, lookup: {source: ways, key: code, value: name}, otherwise: shop}
"""


def test_values_from_another_source(company):
    sources = {
        "orders": LOOKED_UP,
        "visits": "files: {path: 'visits*.csv', format: csv}\n",
        "ways": "files: {path: ways.csv, format: csv}\n",
    }
    orders = "id,visit,at,way\n1, v1 ,2024-05-01,T\n2,v2,2024-05-01,X\n3,v9,2024-05-01,\n4,,2024-05-01,T\n"
    ctx = company(sources, {"orders.csv": orders, "ways.csv": "code,name\nT,phone\n"})
    assert rows(ctx, ORDER, "order_id") == [], "the orders wait for the visits"
    data = Path(ctx.settings.ingest.data_dir)
    (data / "visits-1.csv").write_text("id,person\nv1,P0\nv2,P2\n")
    (data / "visits-2.csv").write_text("id,person\nv3,P3\n")
    ctx = replace(ctx, fingerprint="2" * 64)
    ingest.run(ctx)
    (data / "visits-3.csv").write_text("id,person\nv1,P1\n")
    later = replace(ctx, fingerprint="3" * 64, started_at=ctx.started_at + dt.timedelta(days=1))
    ingest.run(later)
    clean.run(later)
    assert rows(later, ORDER, "order_id", "person_id", "channel") == [
        ("1", "P1", "phone"), ("2", "P2", "shop"), ("3", None, None), ("4", None, "phone"),
    ]  # fmt: skip
    found = rows(later, FINDING, "code", "column", "severity", "num_rows", where="source = 'orders'")
    assert found == [("unknown_value", "person_id", "nulled", 1)]


def test_a_lookup_needs_a_key(company):
    sources = {"orders": LOOKED_UP, "visits": "files: {path: visits.csv, format: csv}\n"}
    sources["ways"] = "files: {path: ways.csv, format: csv}\n"
    files = {"orders.csv": "id,visit,at,way\n1,v1,2024-05-01,T\n", "ways.csv": "code,name\nT,phone\n"}
    with pytest.raises(
        InputError, match=r"lookup in visits: id is no key: visits.csv has a value of it with 2 different"
    ):
        company(sources, {**files, "visits.csv": "id,person\nv1,P0\nv1,P1\n"})


def test_no_element_is_lost_silently(company):
    """A list that cannot be read, a file without the list, and a path that no line has."""
    feed = NESTED.replace("{path}", "{path}*.x")
    sources = {
        "cells": feed.format(name="cells", path="cells", format="csv", more=""),
        "lines": feed.format(name="lines", path="lines", format="jsonl", more=", records: rows"),
    }
    files = {
        "cells-1.x": 'id,date,status,customer,line_items\n1,2024-05-01,completed,,"[{""id"": 1"\n2,2024-05-01,completed,,x\n',
        "cells-2.x": "id,date,status,customer\n3,2024-05-01,completed,\n",
        "lines-1.x": '{"row": [{"id": 1}]}\n',
    }
    ctx = company(sources, files)
    quarantined = rows(ctx, QUARANTINE, "file", "position", "reasons", where="entity = 'order_line'")
    assert quarantined == [
        ("cells-1.x", 0, ["missing_required"]), ("cells-1.x", 1, ["missing_required"]), ("cells-2.x", 0, ["missing_column"]),
    ]  # fmt: skip
    assert rows(ctx, DELIVERY, "file", "reason", where="status = 'rejected'") == [("lines-1.x", "not_records")]


def test_an_element_is_replayed(company):
    ctx = company(
        {"plain": NESTED.format(name="plain", path="plain.x", format="json", more="")}, {"plain.x": json.dumps(ORDERS)}
    )
    path = Path(ctx.settings.ingest.sources_dir) / "plain.yaml"
    path.write_text(
        path.read_text().replace("line_id: line_items.id", "line_id: {from: [id, line_items.sku], join: '-'}")
    )
    ctx = replace(ctx, fingerprint="2" * 64)
    replay.run(ctx)
    assert rows(ctx, ORDER_LINE, "line_id", "order_id", "product_id") == [
        ("11", "1", "A"), ("12", "1", None), ("3-B", "3", "B"),
    ]  # fmt: skip
    assert rows(ctx, QUARANTINE, "status") == [("released",)]
    assert rows(ctx, RECONCILIATION, "entity", "num_in", "num_accepted", "num_quarantined") == [
        ("order", 3, 3, 0), ("order_line", 3, 3, 0),
    ]  # fmt: skip
