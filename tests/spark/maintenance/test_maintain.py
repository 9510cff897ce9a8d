"""Maintenance of a real lake: rows, versions within the retention and models in use stay; the rest goes."""

import os
import threading
import time
from datetime import date, datetime

import pytest
from support.lake import frame, lake_context, put

from crm_spark.cli.app import run
from crm_spark.contracts.features import FEATURE_CUSTOMER
from crm_spark.contracts.ops import RUN
from crm_spark.contracts.scores import WORD_ATTRIBUTION
from crm_spark.core.lease import Lease
from crm_spark.core.tables import upkeep

SIXTY_DAYS = 60 * 86_400
NIGHT = datetime(2025, 3, 1, 2, 30)


@pytest.fixture
def lake(spark, tmp_path):
    ctx = lake_context(spark, tmp_path / "lake")
    for number in range(4):
        append_run(ctx.tables, f"r{number}")
    days = [date(2025, 1, 10), date(2025, 1, 31), date(2025, 4, 1)]
    put(ctx.tables, FEATURE_CUSTOMER, [{"customer_id": "c1", "as_of": day} for day in days])
    versions = [{"text_hash": "t", "word": "w", "model_version": version} for version in ("used", "former")]
    put(ctx.tables, WORD_ATTRIBUTION, [{**row, "stop_words_version": "s"} for row in versions])
    models = tmp_path / "lake" / "files" / "models"
    for version in ("used", "former"):
        (models / version).mkdir(parents=True)
    (models / "registry.json").write_text('{"production": "used", "candidate": null, "archived": ["former"]}')
    orphan = tmp_path / "lake" / "ops" / "run" / "part-00000-left-by-a-killed-write.snappy.parquet"
    orphan.write_bytes(b"PAR1")
    os.utime(orphan, (time.time() - SIXTY_DAYS,) * 2)
    return tmp_path / "lake"


def append_run(tables, name):
    row = {"run_id": name, "stage": "clean", "status": "done", "num_rows": 1, "ended_at": NIGHT}
    return tables.append(RUN, frame(tables.spark, RUN, [row]), batch_id=name, digest="d", is_unique=True)


SETTINGS = (
    "--set",
    "maintain.compact_from_files=3",
    "--set",
    "maintain.snapshot_days=35",
    "--set",
    "maintain.keep_versions=0",
)


def maintained(lake, *options):
    return run("maintain", ["--lake", str(lake), *SETTINGS, *options])


def rows(spark, lake, name):
    return sorted(map(str, spark.read.format("delta").load(str(lake / name)).collect()))


def test_a_dry_run_names_what_would_go_and_removes_nothing(spark, lake, capsys):
    before = {path: path.stat().st_mtime_ns for path in lake.rglob("*") if path.is_file()}
    assert maintained(lake, "--dry-run") == 0
    lines = capsys.readouterr().out.splitlines()
    assert (
        f"{lake}/files/models/former: would be removed, 0.0 MB: a text model that is neither in use nor among the latest"
        in lines
    )
    assert "features.customer: 1 expired row would be deleted" in lines
    assert "ops.run: 4 files would be compacted, 1 obsolete file would be removed" in lines
    assert "scores.word_attribution: 1 expired row would be deleted" in lines
    after = {path: path.stat().st_mtime_ns for path in lake.rglob("*") if path.is_file()}
    assert {p for p in before.keys() ^ after.keys() if "_lease" not in p.name} == set()


def test_what_is_read_stays_and_the_rest_goes(spark, lake, capsys):
    runs = rows(spark, lake, "ops/run")
    assert maintained(lake) == 0
    assert rows(spark, lake, "ops/run") == runs
    kept = spark.read.format("delta").load(str(lake / "features/customer")).select("as_of").collect()
    assert sorted(row[0] for row in kept) == [date(2025, 1, 31), date(2025, 4, 1)]
    assert [
        row["model_version"] for row in spark.read.format("delta").load(str(lake / "scores/word_attribution")).collect()
    ] == ["used"]
    assert [path.name for path in (lake / "files" / "models").iterdir() if path.is_dir()] == ["used"]
    assert not list((lake / "ops" / "run").glob("*left-by*"))
    size = upkeep.table_size(spark, str(lake / "ops/run"))
    assert size.num_files == 1 and size.properties["delta.logRetentionDuration"] == "interval 30 days"
    # Every version within the retention is still readable.
    first = spark.read.format("delta").option("versionAsOf", 0).load(str(lake / "ops/run"))
    assert first.count() == 1
    capsys.readouterr()
    assert maintained(lake) == 0
    assert capsys.readouterr().out == "0.0 MB of models, shard sets and leftovers removed\n"


def test_a_running_refresh_is_not_disturbed(lake, capsys):
    with Lease(str(lake), run_id="night"):
        assert maintained(lake) == 4
    assert (lake / "files" / "models" / "former").exists()
    assert "run night" in capsys.readouterr().err


def test_writers_that_come_after_a_compaction_find_their_batches(spark, lake):
    assert maintained(lake) == 0
    assert append_run(lake_context(spark, lake).tables, "r1").is_duplicate


def test_a_reader_keeps_the_version_that_it_opened(spark, lake):
    """A long query that started before the maintenance finds its files."""
    opened = spark.read.format("delta").load(str(lake / "ops/run"))
    done = threading.Thread(target=maintained, args=(lake,))
    done.start()
    done.join()
    assert opened.count() == 4
