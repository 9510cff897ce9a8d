"""Files that are valid in their format and unusual otherwise are read; one that cannot be read does not affect the others."""

import datetime as dt
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from support.lake import lake_context

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import DELIVERY
from crm_spark.stages.ingest import stage as ingest

FEED = "feeds: {product: {columns: {product_id: id, name: name}}}\n"
SOURCES = {
    "mixed": "files: {path: 'mixed*.csv', format: csv}\n",
    "ragged": "files: {path: 'ragged.csv', format: csv, options: {delimiter: ';'}}\n",
    "tabs": "files: {path: '*.tsv', format: csv, options: {delimiter: '\\t'}}\n",
    "unquoted": "files: {path: unquoted.txt, format: csv, options: {quote: ''}}\n",
    "replaced": "files: {path: replaced.txt, format: csv, options: {errors: replace}}\n",
    "wide": "files: {path: 'wide.*', format: jsonl, options: {encoding: utf-16-le}}\n",
    "cases": "files: {path: 'cases*.jsonl', format: jsonl}\n" + FEED,
    "documents": "files: {path: '*.json', format: json}\n",
    "tables": "files: {path: '*.parquet', format: parquet}\n",
    "photos": "files: {path: 'photo/*', format: parquet}\n" + FEED,
}
NOON = dt.datetime(2024, 7, 1, 12)


def parquet(path, table, **options):
    sink = io.BytesIO()
    pq.write_table(table, sink, **options)
    path.write_bytes(sink.getvalue())


def lay_out(root):
    """Write sources and files; returns the settings."""
    (root / "sources").mkdir()
    data = root / "data"
    (data / "photo").mkdir(parents=True)
    for name, text in SOURCES.items():
        (root / "sources" / f"{name}.yaml").write_text(text)
    texts = {
        "mixed-1.csv": "a,b\n1,x\r\n2,y\r\n", "mixed-2.csv": "a,b\r\n3,x\n4,\"y\r\nz\"\n",
        "mixed-wide-row.csv": "a,b\n" + "," * 30_000 + "\n",
        "ragged.csv": "id;name;city;note\n1;Ada;Bonn\n2;Bea\n3;Cid;Bonn;vip;\n4;Dan;Bonn;vip;;\n5;Eva;Bonn;vip;x\n6\n"
                      "7;\"F;o\"\"o\";Bonn\n8;Gus;Bonn;vip;\"\"\n9;Hal;Bonn;vip;\"x\"\n",
        "quotes.tsv": 'id\ttext\n1\t5" screen\n2\t"Wow, a lamp\n3\tbroke\n4\tbest" and it is\n',
        "excel.tsv": 'id\ttext\n5\t"two\nlines, ""q"""\n', "unquoted.txt": 'a,b\n1,"x\n2,y"\n',
        "cases-1.jsonl": '{"Id":"x","id":"K1","name":"a"}\n{"id":"K2","Name":"b"}\n', "cases-2.jsonl": '{"ID":"K3","name":"c"}\n',
        "cases-3.jsonl": '{"id":"K4","id":"K5"}\n{"id":"K6"} {"id":"K7"}\n',
        "empty.json": "[]", "lines.json": '{"a":1}\n{"a":2}\n', "scalar.json": "5", "one.json": '{"a":NaN,"b":{"x":  1},"c`d.e":"f"}',
    }  # fmt: skip
    for name, text in texts.items():
        (data / name).write_text(text, newline="")
    (data / "replaced.txt").write_bytes(b"a,b\n1,K\xf6ln\n")
    (data / "wide.txt").write_bytes('{"a":1.50}\n{"a":"ö"}\n'.encode("utf-16-le"))
    at = pa.array([NOON], pa.timestamp("us"))
    columns = {"ns": at.cast(pa.timestamp("ns")), "utc": at.cast(pa.timestamp("us", "UTC")), "local": at,
               "ns_utc": at.cast(pa.timestamp("ns", "Europe/Berlin")), "time": pa.array([dt.time(8, 30)]), "text": [b"Ada"],
               "half": pa.array([1.5], pa.float32()).cast(pa.float16()), "big": pa.array([2**64 - 1], pa.uint64()),
               "nested": [{"a": [1, None], "b": "x"}]}  # fmt: skip
    parquet(data / "types.parquet", pa.table(columns))
    parquet(data / "int96.parquet", pa.table({"local": at}), use_deprecated_int96_timestamps=True)
    parquet(data / "photo" / "mapped.parquet", pa.table({"id": [1], "name": [b"\xff\xd8"]}))
    parquet(data / "photo" / "unmapped.parquet", pa.table({"id": [1], "name": ["a"], "photo": [b"\xff\xd8"]}))
    return f"ingest.sources_dir={root / 'sources'}", f"ingest.data_dir={data}", "ingest.files_per_batch=100"


@pytest.fixture(scope="module")
def lake(spark, tmp_path_factory):
    """Context after two runs, and the rows of ops.delivery added by the second."""
    root = tmp_path_factory.mktemp("odd")
    settings = lay_out(root)
    ctx = lake_context(spark, root / "lake", *settings, fingerprint="1" * 64)
    ingest.run(ctx)
    before = ctx.tables.read(DELIVERY).count()
    result = ingest.run(lake_context(spark, root / "lake", *settings, fingerprint="2" * 64))
    return ctx, ctx.tables.read(DELIVERY).count() - before, result.status


def cells(lake, source, *columns):
    rows = lake[0].tables.read(bronze(source)).orderBy("_file", "_position")
    return [tuple(row) for row in rows.select(*(f"`{column}`" for column in columns)).collect()]


def test_second_run_finds_nothing_new(lake):
    assert lake[1:] == (0, "no_new_input")


def test_rejected_files_have_reason_position_and_hint(lake):
    rows = lake[0].tables.read(DELIVERY).where("status = 'rejected'").collect()
    assert {(r["file"], r["reason"], r["position"]) for r in rows} == {
        ("mixed-wide-row.csv", "read_failed", None), ("lines.json", "damaged_file", "line 2, column 1"),
        ("scalar.json", "not_records", None), ("photo/mapped.parquet", "binary_column", "column 2"),
    }  # fmt: skip
    assert all(row["hint"] for row in rows)


def test_file_that_spark_cannot_read_does_not_affect_its_delivery(lake):
    assert cells(lake, "mixed", "a", "b") == [("1", "x"), ("2", "y"), ("3", "x"), ("4", "y\r\nz")]
    rows = lake[0].tables.read(DELIVERY).where("source = 'mixed' AND status = 'ingested'").collect()
    assert {row["file"]: row["num_rows"] for row in rows} == {"mixed-1.csv": 2, "mixed-2.csv": 2}


def test_short_rows_and_empty_surplus_cells_are_read(lake):
    assert cells(lake, "ragged", "id", "name", "city", "note", "_corrupt") == [
        ("1", "Ada", "Bonn", None, None), ("2", "Bea", None, None, None), ("3", "Cid", "Bonn", "vip", None),
        ("4", "Dan", "Bonn", "vip", None), ("5", "Eva", "Bonn", "vip", "5;Eva;Bonn;vip;x"), ("6", None, None, None, "6"),
        ("7", 'F;o"o', "Bonn", None, None), ("8", "Gus", "Bonn", "vip", None),
        ("9", "Hal", "Bonn", "vip", '9;Hal;Bonn;vip;"x"'),
    ]  # fmt: skip


def test_quotes_are_read_as_each_file_uses_them(lake):
    assert cells(lake, "tabs", "id", "text") == [
        ("5", 'two\nlines, "q"'), ("1", '5" screen'), ("2", '"Wow, a lamp'), ("3", "broke"), ("4", 'best" and it is'),
    ]  # fmt: skip
    assert cells(lake, "unquoted", "a", "b") == [("1", '"x'), ("2", 'y"')]


def test_encodings_are_read_and_replaced_bytes_are_counted(lake):
    assert cells(lake, "wide", "a") == [("1.50",), ("ö",)]
    assert cells(lake, "replaced", "a", "b") == [("1", "K\ufffdln")]
    row = lake[0].tables.read(DELIVERY).where("source = 'replaced' AND status = 'ingested'").first()
    assert row["num_replaced"] == 1


def test_json_keys_that_differ_in_case_are_separate_columns(lake):
    assert cells(lake, "cases", "_file", "id", "name", "%49d", "_corrupt") == [
        ("cases-1.jsonl", "K1", "a", "x", None), ("cases-1.jsonl", "K2", None, None, None),
        ("cases-2.jsonl", "K3", "c", None, None), ("cases-3.jsonl", "K5", None, None, None),
        ("cases-3.jsonl", None, None, None, '{"id":"K6"} {"id":"K7"}'),
    ]  # fmt: skip


def test_json_documents_without_records_or_with_one_are_read(lake):
    assert cells(lake, "documents", "_file", "a", "b", "c%60d%2Ee") == [("one.json", "NaN", '{"x":  1}', "f")]
    row = lake[0].tables.read(DELIVERY).where("file = 'empty.json' AND status = 'ingested'").first()
    assert row["num_rows"] == 0


def test_parquet_types_are_read(lake):
    names = ("ns", "utc", "local", "ns_utc", "time", "text", "half", "big", "nested")
    assert cells(lake, "tables", *names)[1] == (
        "2024-07-01 12:00:00", "2024-07-01 12:00:00Z", "2024-07-01 12:00:00", "2024-07-01 12:00:00Z", "08:30:00", "Ada", "1.5",
        "18446744073709551615", '{"a":[1,null],"b":"x"}',
    )  # fmt: skip
    assert cells(lake, "tables", "_file", "local")[0] == ("int96.parquet", "2024-07-01 12:00:00Z")
    assert cells(lake, "photos", "_file", "photo") == [("photo/unmapped.parquet", "/9g=")]
