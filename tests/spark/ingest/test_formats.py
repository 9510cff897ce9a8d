"""Files of every format reach bronze unchanged; a broken file does not affect the others."""

import gzip
import io
import json
import zipfile
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F
from support.lake import lake_context

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.bronze_columns import decoded
from crm_spark.contracts.ops import DELIVERY, QUARANTINE, RECONCILIATION
from crm_spark.contracts.silver import PRODUCT
from crm_spark.stages.clean import stage as clean
from crm_spark.stages.ingest import stage as ingest

FEED = """
system: {name}
files: {{path: "{glob}", format: {format}{more}}}
feeds:
  product:
    columns: {{product_id: id, name: name, list_price: price}}
"""
ROWS = [
    {"id": "1", "name": "Lamp", "price": "3.50"}, {"id": "2", "name": "two\nlines, \"q\" ", "price": "10"},
    {"id": "3", "name": " =1+1", "price": "0.1"},
]  # fmt: skip


def csv_of(rows, *, delimiter=",", newline="\n") -> str:
    def cell(text):
        return '"' + text.replace('"', '""') + '"' if any(c in text for c in f'"\n\r{delimiter}') else text

    lines = [delimiter.join(rows[0]), *(delimiter.join(cell(str(v)) for v in row.values()) for row in rows)]
    return newline.join(lines) + newline


def parquet_of(rows, **kinds) -> bytes:
    columns = {name: [row.get(name) for row in rows] for name in rows[0]}
    sink = io.BytesIO()
    pq.write_table(pa.table({n: pa.array(v, type=kinds.get(n)) for n, v in columns.items()}), sink)
    return sink.getvalue()


@pytest.fixture
def company(spark, tmp_path):
    """Configure sources, write files and run ingest (and clean)."""
    (tmp_path / "sources").mkdir()
    (tmp_path / "data").mkdir()

    def source(name, glob, format="csv", more=""):
        (tmp_path / "sources" / f"{name}.yaml").write_text(FEED.format(name=name, glob=glob, format=format, more=more))

    def lay(**files: bytes | str):
        for name, content in files.items():
            content = content.encode() if isinstance(content, str) else content
            (tmp_path / "data" / name.replace("__", ".")).write_bytes(content)

    def refreshed(number=1, *overrides, stages=(ingest, clean)):
        paths = (f"ingest.sources_dir={tmp_path / 'sources'}", f"ingest.data_dir={tmp_path / 'data'}")
        ctx = lake_context(spark, tmp_path / "lake", *paths, *overrides, fingerprint=str(number) * 64)
        for stage in stages:
            stage.run(ctx)
        return ctx

    return source, lay, refreshed


def cells(ctx, source):
    rows = ctx.tables.read(bronze(source)).orderBy("_file", "_position").collect()
    return [{decoded(k): v for k, v in row.asDict().items() if not k.startswith("_")} for row in rows]


def statuses(ctx):
    return {
        r["file"]: (r["status"], r["reason"]) for r in ctx.tables.read(DELIVERY).where("status <> 'planned'").collect()
    }


def test_all_text_formats_give_the_same_cells(company):
    source, lay, refreshed = company
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("in/a.csv", csv_of(ROWS[:2]))
        archive.writestr("in/b.csv", csv_of(ROWS[2:]))
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(csv_of(ROWS).encode())
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    lay(plain__csv=csv_of(ROWS), gz__csv__gz=gzip.compress(csv_of(ROWS, newline="\r\n").encode()), z__zip=packed.getvalue(),
        zst__csv__zst=sink.getvalue().to_pybytes(), wide__csv=csv_of(ROWS, delimiter="||").encode("utf-16"),
        tab__csv=csv_of(ROWS, delimiter="\t"), lines__jsonl=lines, doc__json=json.dumps(ROWS, indent=1))  # fmt: skip
    source("plain", "plain.csv"), source("gz", "gz.csv.gz"), source("zip", "z.zip"), source("zst", "zst.csv.zst")
    source("wide", "wide.csv", more=', options: {delimiter: "||", encoding: utf-16}')
    source("tab", "tab.csv", more=r", options: {delimiter: '\t'}")
    source("lines", "lines.jsonl", "jsonl"), source("doc", "doc.json", "json")
    ctx = refreshed(stages=[ingest])
    for name in ("plain", "gz", "zip", "zst", "wide", "tab", "lines", "doc"):
        assert cells(ctx, name) == ROWS, name
    assert set(statuses(ctx)) == {
        "plain.csv", "gz.csv.gz", "z.zip!in/a.csv", "z.zip!in/b.csv", "zst.csv.zst", "wide.csv", "tab.csv", "lines.jsonl", "doc.json",
    }  # fmt: skip
    assert {status for status, _ in statuses(ctx).values()} == {"ingested"}
    assert not (ctx.files_root / "unpacked").exists() or not any((ctx.files_root / "unpacked").iterdir())
    row = ctx.tables.read(bronze("zip")).where("id = '3'").first()
    assert row["_row_id"].endswith(":0:0") and row["_file"] == "z.zip!in/b.csv"


def test_json_values_are_kept_as_literal_text(company):
    source, lay, refreshed = company
    lay(
        lines__jsonl='{"id": 1.50, "name": {"de":  "Lampe", "n": [1,  2.0]}, "price": 1e2}\n{"id": "x", "name": null}\nbroken\n'
    )
    source("lines", "lines.jsonl", "jsonl")
    rows = cells(refreshed(stages=[ingest]), "lines")
    assert rows[0] == {"id": "1.50", "name": '{"de":  "Lampe", "n": [1,  2.0]}', "price": "1e2"}
    assert rows[1] == {"id": "x", "name": None, "price": None}


def test_broken_file_is_rejected_and_the_others_are_read(company):
    source, lay, refreshed = company
    good = csv_of(ROWS)
    lay(good__csv=good, cut__csv__gz=gzip.compress(good.encode() * 9)[:-9], open__csv='id,name,price\n1,"a,2\n2,b,3\n',
        latin__csv="id,name,price\n1,Müll,2\n".encode("latin-1"), empty__csv="", late__csv=csv_of([{**ROWS[0], "id": "9"}]))  # fmt: skip
    source("shop", "*.csv*")
    ctx = refreshed()
    assert statuses(ctx) == {
        "good.csv": ("ingested", None), "late.csv": ("ingested", None), "cut.csv.gz": ("rejected", "truncated_file"),
        "open.csv": ("rejected", "unterminated_quote"), "latin.csv": ("rejected", "wrong_encoding"),
        "empty.csv": ("rejected", "empty_file"),
    }  # fmt: skip
    assert ctx.tables.read(PRODUCT).count() == 4
    before = ctx.tables.version(DELIVERY)
    refreshed(2)
    assert ctx.tables.version(DELIVERY) == before, "a rejected file is recorded once"


def test_rejected_file_is_ingested_after_its_encoding_is_configured(company):
    source, lay, refreshed = company
    lay(latin__csv="id,name,price\n1,Müll,2\n".encode("latin-1"))
    source("shop", "*.csv")
    assert statuses(refreshed()) == {"latin.csv": ("rejected", "wrong_encoding")}
    source("shop", "*.csv", more=", options: {encoding: latin-1}")
    ctx = refreshed(2)
    assert {r["status"] for r in ctx.tables.read(DELIVERY).collect()} == {"rejected", "ingested"}
    assert ctx.tables.read(PRODUCT).first()["name"] == "Müll"


FIRST = [{"id": str(i), "name": f"n{i}", "price": i + 0.5} for i in range(1, 4)]
DRIFTS = {
    # what comes next: the rows, and what becomes of them
    "added": ([{**r, "colour": "red"} for r in FIRST], "accepted"),
    "reordered": ([dict(reversed(r.items())) for r in FIRST], "accepted"),
    "widened": ([{**r, "price": 12345678901.25} for r in FIRST], "accepted"),
    "narrowed": ([{**r, "price": 7} for r in FIRST], "accepted"),
    "string_typed": ([{**r, "price": "7.50"} for r in FIRST], "accepted"),
    "renamed": ([{"id": r["id"], "title": r["name"], "price": r["price"]} for r in FIRST], "missing_column"),
    "removed": ([{"id": r["id"], "name": r["name"]} for r in FIRST], "missing_column"),
}


FORMATS = ("csv", "jsonl", "parquet")


def test_added_removed_and_moved_columns_are_matched_by_name(company):
    source, lay, refreshed = company

    def written(rows, format):
        if format == "parquet":
            return parquet_of(rows)
        return csv_of(rows) if format == "csv" else "".join(json.dumps(row) + "\n" for row in rows)

    def delivered(number, rows_of):
        for format in FORMATS:
            for name in DRIFTS:
                lay(**{f"{name}-{number}__{format}": written(rows_of(name), format)})

    def keyed(name, number, rows):
        return [{**row, "id": f"{name}{number}{row['id']}"} for row in rows]

    for format in FORMATS:
        source(format, f"*.{format}", format)
    delivered(1, lambda name: keyed(name, 1, FIRST))
    refreshed()
    delivered(2, lambda name: keyed(name, 2, DRIFTS[name][0]))
    ctx = refreshed(2)
    quarantined = ctx.tables.read(QUARANTINE).groupBy("source", "file", "reasons").count().collect()
    assert {(r["source"], r["file"], *r["reasons"], r["count"]) for r in quarantined} == {
        (format, f"{name}-2.{format}", status, 3)
        for format in FORMATS
        for name, (_, status) in DRIFTS.items()
        if status != "accepted"
    }
    sums = (
        ctx.tables.read(RECONCILIATION).groupBy("source").agg(*(F.sum(n) for n in ("num_in", "num_accepted"))).collect()
    )
    assert {tuple(row) for row in sums} == {(format, 14 * 3, 12 * 3) for format in FORMATS}
    products = {
        (r["system"], r["product_id"]): (r["name"], r["list_price"]) for r in ctx.tables.read(PRODUCT).collect()
    }
    assert len(products) == 3 * 12 * 3
    for format in FORMATS:
        assert statuses(ctx)[f"added-2.{format}"] == ("ingested", "new_column")
        assert ctx.tables.read(bronze(format)).where("colour = 'red'").count() == 3
        assert products[format, "reordered22"] == ("n2", Decimal("2.5")), "found by name, not by position"
        assert products[format, "string_typed21"] == ("n1", Decimal("7.5"))
        assert products[format, "widened21"] == ("n1", Decimal("12345678901.25"))
        assert products[format, "narrowed21"] == ("n1", Decimal(7))
        assert products[format, "renamed12"] == ("n2", Decimal("2.5")), "what silver knew stays"
