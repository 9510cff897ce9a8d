"""Texts are stored in bronze and silver byte for byte, including formulas, control characters and emoji."""

import gzip
import io
import json
import os
import threading

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F
from support.formulas import FORMULAS
from support.lake import lake_context

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import DELIVERY
from crm_spark.contracts.silver import FEEDBACK
from crm_spark.stages.clean import stage as clean
from crm_spark.stages.ingest import stage as ingest

SOURCE = """
files: {{path: "*.{format}", format: {format}}}
feeds:
  feedback:
    columns: {{feedback_id: id, person_id: who, kind: {{value: review}}, text: body, rating: stars}}
"""
FORMATS = ("csv", "jsonl", "parquet")
STRINGS = [
    "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467\u200d\U0001f466", "\U0001f3f3\ufe0f\u200d\U0001f308",
    "\U0001f1e9\U0001f1ea", "\U0001f44d\U0001f3fd", "1\ufe0f\u20e3", "漢字かな", "한국어", "\u1112\u1161\u11ab",
    "\U00020000\U0002a6d6", "שלום", "مرحبا بالعالم", "\u202eabc\u202c", "\u200fabc\u200e", "\u2067x\u2069", "café",
    "cafe\u0301", "\u212b", "\u00c5", "A\u030a", "Z\u0351\u0326\u0344a\u0334\u0322l\u0336g\u0338o\u0321", "\u0e01\u0e33",
    "\u0915\u094d\u0937\u093f", "ß ẞ ı İ", "\ufb01", "a\u00a0b", "a\u200bb", "\u00ad", "a\u2028b", "a\u2029b", "a\u0085b",
    "\x01\x02\x1f", "\x1b[31mred\x1b[0m", "a\x7fb", "\ufffd", "\ufeffx", "\U0010ffff", "\ufdd0", "w" * 100_000, "\U0001f600" * 30_000,
]  # fmt: skip


def rows_of(texts, prefix):
    return [{"id": f"{prefix}{i}", "who": "K1", "body": text, "stars": str(i % 5)} for i, text in enumerate(texts)]


def written(rows, format):
    if format == "parquet":
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows), sink)
        return sink.getvalue()
    if format == "jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    quoted = [",".join('"' + cell.replace('"', '""') + '"' for cell in row.values()) for row in rows]
    return ("\n".join(["id,who,body,stars", *quoted]) + "\n").encode()


def cleaned(spark, root, rows):
    """Context after ingest and clean of the same rows in every format."""
    (root / "sources").mkdir(exist_ok=True)
    (root / "data").mkdir(exist_ok=True)
    for format in FORMATS:
        (root / "sources" / f"from_{format}.yaml").write_text(SOURCE.format(format=format))
        (root / "data" / f"rows.{format}").write_bytes(written(rows, format))
    paths = (f"ingest.sources_dir={root / 'sources'}", f"ingest.data_dir={root / 'data'}")
    ctx = lake_context(spark, root / "lake", *paths)
    ingest.run(ctx)
    clean.run(ctx)
    return ctx


def test_there_are_thirty_formulas_and_forty_strings():
    assert (len(set(FORMULAS)), len(set(STRINGS))) == (30, 40)


@pytest.fixture(scope="module")
def lake(spark, tmp_path_factory):
    return cleaned(spark, tmp_path_factory.mktemp("verbatim"), rows_of(FORMULAS, "f") + rows_of(STRINGS, "s"))


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("prefix", "texts"), [("f", FORMULAS), ("s", STRINGS)], ids=["formulas", "strings"])
def test_bronze_keeps_the_exact_bytes(lake, format, prefix, texts):
    rows = lake.tables.read(bronze(f"from_{format}")).where(F.col("id").startswith(prefix))
    cells = rows.select("id", "who", F.hex("body"), "stars").collect()
    expected = {f"{prefix}{i}": ("K1", hexed(text), str(i % 5)) for i, text in enumerate(texts)}
    assert {key: tuple(others) for key, *others in cells} == expected


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize(("prefix", "texts"), [("f", FORMULAS), ("s", STRINGS)], ids=["formulas", "strings"])
def test_silver_keeps_the_exact_bytes(lake, format, prefix, texts):
    rows = lake.tables.read(FEEDBACK).where(F.col("source") == f"from_{format}")
    rows = rows.where(F.col("feedback_id").startswith(prefix))
    cells = rows.select("feedback_id", "person_id", F.hex("text"), "rating").collect()
    expected = {f"{prefix}{i}": ("K1", hexed(text), float(i % 5)) for i, text in enumerate(texts)}
    assert {key: tuple(others) for key, *others in cells} == expected


def hexed(text):
    return text.encode().hex().upper()


@pytest.mark.parametrize(
    "name", ["cut.jsonl", *(pytest.param(name, marks=pytest.mark.slow) for name in ("cut.json", "cut.jsonl.gz"))]
)
def test_lone_surrogate_is_kept_as_literal_escape(spark, tmp_path, name):
    """A text truncated within an emoji: no encoding can represent the lone surrogate."""
    texts = ["good \U0001f600", r"cut \ud83d", r"\uDE00 first", r"of a backslash: \\ud83d", "after"]
    rows = [f'{{"id": "{i}", "who": "K1", "body": "{text}", "stars": 5}}' for i, text in enumerate(texts)]
    document = f"[{', '.join(rows)}]" if name.endswith("json") else "\n".join(rows)
    (tmp_path / "sources").mkdir()
    (tmp_path / "data").mkdir()
    format = name.split(".")[1]
    source = SOURCE.format(format=format).replace(f"*.{format}", name)
    (tmp_path / "sources" / "cut.yaml").write_text(source)
    (tmp_path / "data" / name).write_bytes((gzip.compress if name.endswith("gz") else bytes)(document.encode()))
    ctx = lake_context(
        spark, tmp_path / "lake", f"ingest.sources_dir={tmp_path}/sources", f"ingest.data_dir={tmp_path}/data"
    )
    ingest.run(ctx)
    clean.run(ctx)
    rows = ctx.tables.read(FEEDBACK).orderBy("feedback_id").select("text", "plain_text", "rating").collect()
    assert [row["text"] for row in rows] == [text.replace(r"\\", "\\") for text in texts]
    assert [row["plain_text"] for row in rows] == ["good \U0001f600", "cut", "first", "of a backslash:", "after"]
    assert {row["rating"] for row in rows} == {5.0}
    (row,) = ctx.tables.read(DELIVERY).where("status = 'ingested'").collect()
    assert (row["file"], row["num_rows"]) == (name, 5)


class PeakOfPython:
    """Peak memory increase of this process and Spark's Python workers."""

    def __enter__(self):
        self.before, self.peak, self.ended = self._resident_bytes(), 0, threading.Event()
        self.thread = threading.Thread(target=self._watch, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    @property
    def growth_mb(self):
        return (self.peak - self.before) / 2**20

    def _watch(self):
        while not self.ended.wait(0.05):
            self.peak = max(self.peak, self._resident_bytes())

    def _resident_bytes(self):
        me, total = psutil.Process(os.getpid()), 0
        for process in (me, *me.children(recursive=True)):
            try:
                total += process.memory_info().rss if "python" in process.name() else 0
            except psutil.NoSuchProcess:
                continue
        return total


@pytest.mark.slow
@pytest.mark.parametrize("format", FORMATS)
def test_hundred_texts_of_one_megabyte_need_less_than_300_mb_of_python_memory(spark, lake, tmp_path, format):
    texts = [f"{i:03}" + "word and more " * 74_898 for i in range(100)]
    (tmp_path / "sources").mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "sources" / "long.yaml").write_text(SOURCE.format(format=format))
    (tmp_path / "data" / f"rows.{format}").write_bytes(written(rows_of(texts, "l"), format))
    sizes = {len(text) for text in texts}
    del texts
    paths = (f"ingest.sources_dir={tmp_path / 'sources'}", f"ingest.data_dir={tmp_path / 'data'}")
    ctx = lake_context(spark, tmp_path / "lake", *paths)
    with PeakOfPython() as python:
        ingest.run(ctx)
        clean.run(ctx)
    lengths = ctx.tables.read(FEEDBACK).select(F.octet_length("text").alias("n"))
    assert sizes == {1_048_575} and {r["n"] for r in lengths.collect()} == sizes
    assert lengths.count() == 100
    assert {r["status"] for r in ctx.tables.read(DELIVERY).collect()} >= {"ingested"}
    print(f"{format}: {python.growth_mb:.0f} MB")
    assert python.growth_mb <= 300
