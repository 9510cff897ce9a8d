"""Repeated deliveries add no rows, and different content under a known batch id is a conflict."""

import gzip
import io
import json
import os
import zipfile

import pytest
from pyspark.sql import functions as F
from support.lake import lake_context

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import DELIVERY
from crm_spark.contracts.silver import PRODUCT
from crm_spark.core.errors import BatchConflictError
from crm_spark.core.hashing import frame_digest
from crm_spark.stages.clean import stage as clean
from crm_spark.stages.ingest import stage as ingest

SOURCE = """
files: {{path: "{name}/*", format: {format}, options: {{delimiter: "{delimiter}", encoding: {encoding}}}}}
feeds:
  product:
    columns: {{product_id: id, name: name, list_price: price}}
"""
ROWS = [{"id": "1", "name": "Lamp", "price": "3.50"}, {"id": "2", "name": "Rug", "price": "10"}]


def text_of(delimiter=","):
    return "".join(delimiter.join(row) + "\n" for row in (ROWS[0], *(row.values() for row in ROWS)))


def zip_of(text):
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w") as archive:
        archive.writestr("a.csv", text)
    return sink.getvalue()


LINES = "".join(json.dumps(row) + "\n" for row in ROWS)
SOURCES = {
    # name: ending, format, delimiter, encoding, bytes
    "plain": ("csv", "csv", ",", "utf-8", text_of().encode()),
    "semicolon": ("csv", "csv", ";", "utf-8", text_of(";").encode()),
    "wide": ("csv", "csv", ",", "utf-16", text_of().encode("utf-16")),
    "packed": ("csv.gz", "csv", ",", "utf-8", gzip.compress(text_of().encode(), mtime=0)),
    "archived": ("zip", "csv", ",", "utf-8", zip_of(text_of())),
    "lines": ("jsonl", "jsonl", ",", "utf-8", LINES.encode()),
    "lines_packed": ("jsonl.gz", "jsonl", ",", "utf-8", gzip.compress(LINES.encode(), mtime=0)),
    "document": ("json", "json", ",", "utf-8", json.dumps(ROWS).encode()),
}
TIMES = 5


def lay(root, source, name):
    ending, *_, content = SOURCES[source]
    path = root / "data" / source / f"{name}.{ending}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.fixture(scope="module")
def delivered(spark, tmp_path_factory):
    """A first delivery of every source and five repeated rounds; returns the rows added by each round."""
    root = tmp_path_factory.mktemp("deliveries")
    (root / "sources").mkdir()
    for name, (_, format, delimiter, encoding, _) in SOURCES.items():
        text = SOURCE.format(name=name, format=format, delimiter=delimiter, encoding=encoding)
        (root / "sources" / f"{name}.yaml").write_text(text)
    paths = (f"ingest.sources_dir={root / 'sources'}", f"ingest.data_dir={root / 'data'}")
    firsts = {name: lay(root, name, "first") for name in SOURCES}
    added = []
    for number in range(TIMES + 1):
        ctx = lake_context(spark, root / "lake", *paths, fingerprint=f"{number:064}")
        if number:
            for name, path in firsts.items():
                lay(root, name, "first")
                os.utime(path, (1_000_000_000 + number,) * 2)  # the same name again, as of another time
                lay(root, name, f"again-{number}")
        added.append(ingest.run(ctx).num_rows)
    clean.run(ctx)
    return ctx, added


@pytest.mark.slow
def test_repeated_name_or_content_adds_no_rows(delivered):
    ctx, added = delivered
    assert added == [16, 0, 0, 0, 0, 0]  # 8 sources of 2 rows, then 5 x 8 x 2 = 80 deliveries of nothing new
    assert [ctx.tables.read(bronze(name)).count() for name in SOURCES] == [2] * 8
    assert ctx.tables.read(PRODUCT).count() == 16


@pytest.mark.slow
def test_copies_under_other_names_are_recorded_as_skipped(delivered):
    ctx, _ = delivered
    skipped = ctx.tables.read(DELIVERY).where("status = 'skipped' AND reason = 'same_bytes' AND file LIKE '%again-%'")
    assert skipped.count() == 40
    counts = {r["source"]: r["count"] for r in skipped.groupBy("source").count().collect()}
    assert counts == dict.fromkeys(SOURCES, 5)


@pytest.mark.slow
def test_different_content_under_a_known_batch_id_is_a_conflict(delivered):
    ctx, _ = delivered
    before = {name: (ctx.tables.version(bronze(name)), frame_digest(ctx.tables.read(bronze(name)))) for name in SOURCES}
    exit_codes = []
    for name in SOURCES:
        records = ctx.tables.read(bronze(name))
        batch_id = records.select("_batch_id").distinct().collect()[0][0]
        forged = records.withColumn("_row_id", F.concat("_row_id", F.lit("x")))
        assert ctx.tables.append(bronze(name), forged, batch_id=batch_id, digest=batch_id).is_duplicate
        for number in range(TIMES):
            with pytest.raises(BatchConflictError, match=f"bronze.{name}: batch {batch_id}") as caught:
                ctx.tables.append(bronze(name), forged, batch_id=batch_id, digest=f"other {number}")
            exit_codes.append(caught.value.exit_code)
    assert exit_codes == [3] * 40
    after = {name: (ctx.tables.version(bronze(name)), frame_digest(ctx.tables.read(bronze(name)))) for name in SOURCES}
    assert after == before
