"""Ingest in micro-batches gives the same tables as one batch."""

import os
from dataclasses import replace

import pytest
from pyspark.sql import functions as F
from support.company import FIRST, deliver, lay_out
from support.lake import lake_context

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import DELIVERY
from crm_spark.contracts.silver import FEEDBACK, ORDER, ORDER_LINE
from crm_spark.core.errors import ConfigError
from crm_spark.core.hashing import frame_digest
from crm_spark.settings import load_settings
from crm_spark.stages.clean import stage as clean
from crm_spark.stages.ingest import stage as ingest

WEEK = 7 * 24 * 3600


def line(number):
    return f"D{number};1;K{number};X;1;2,00;{number:02}.01.2025 12:00;OK"


@pytest.fixture
def refreshed(spark, tmp_path):
    lay_out(tmp_path)

    def refreshed(lake, *overrides, is_cleaned=False):
        ctx = lake_context(spark, tmp_path / lake, fingerprint=f"{len(os.listdir(tmp_path)):064}")
        ctx = replace(ctx, settings=load_settings(tmp_path / "company.yaml", list(overrides)))
        result = ingest.run(ctx)
        if is_cleaned:
            clean.run(ctx)
        return ctx, result

    return refreshed


def content(ctx):
    """Bronze and silver without batch ids, which differ."""
    made = {t.name: frame_digest(ctx.tables.read(t).drop("batch_id")) for t in (ORDER, ORDER_LINE, FEEDBACK)}
    for source in ("orders", "reviews"):
        frame = ctx.tables.read(bronze(source))
        made[source] = frame_digest(frame.drop("_batch_id", "_run_id", "_arrived_at"))
    return made


def test_stream_gives_the_same_tables_as_one_batch(refreshed, tmp_path):
    for number in range(2, 5):
        deliver(tmp_path, f"day {number:02} 100%ä+b", [line(number)], [])
    oldest = tmp_path / "data" / "day 02 100%ä+b" / "orders.csv"
    os.utime(oldest, (oldest.stat().st_mtime - 3 * WEEK,) * 2)
    batch, _ = refreshed("batch", is_cleaned=True)
    ctx, result = refreshed("stream", "ingest.files_per_batch=2", is_cleaned=True)
    assert content(ctx) == content(batch)
    assert result.num_rows == 12 + 4 + 3
    sizes = ctx.tables.read(DELIVERY).where("status = 'ingested'").groupBy("source", "batch_id").agg(F.count("*"))
    assert {row[2] for row in sizes.collect()} <= {1, 2} and sizes.where("source = 'orders'").count() >= 2
    _, result = refreshed("stream", "ingest.files_per_batch=2")
    assert result.status == "no_new_input"


def test_files_missed_by_the_stream_are_ingested(refreshed, tmp_path):
    refreshed("stream", "ingest.files_per_batch=1")
    path = tmp_path / "data" / "1" / "orders.csv"
    path.write_text(path.read_text().splitlines()[0] + "\n" + line(9) + "\n")
    ctx, result = refreshed("stream", "ingest.files_per_batch=1")
    assert result.num_rows == 1, "other bytes under a known name"
    assert ctx.tables.read(bronze("orders")).where("No = 'D9'").count() == 1


def test_error_inside_the_stream_is_raised_unchanged(refreshed, tmp_path, monkeypatch):
    def fails(*_):
        raise ConfigError("orders.yaml: raised on purpose.")

    monkeypatch.setattr(ingest, "_ingest_paths", fails)
    with pytest.raises(ConfigError, match=r"^orders.yaml: raised on purpose.$"):
        refreshed("stream", "ingest.files_per_batch=1")
    monkeypatch.undo()
    ctx, _ = refreshed("stream", "ingest.files_per_batch=1")
    assert ctx.tables.read(bronze("orders")).count() == len(FIRST)
