"""Mutated files of every format: no file ends a run, and every row is accounted for."""

from collections import Counter

import pytest
from support.fuzzing import mutated_files, num_records, sources
from support.lake import lake_context

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import DELIVERY
from crm_spark.stages.ingest import stage as ingest


def ingested(spark, root, number, *, seed):
    """Ingest mutated files twice; returns counts of files by status, and files whose rows are unaccounted for."""
    (root / "sources").mkdir(parents=True)
    for name, text in sources():
        (root / "sources" / f"{name}.yaml").write_text(text)
        (root / "data" / name).mkdir(parents=True)
    files = dict(mutated_files(number, seed=seed))
    for name, content in files.items():
        (root / "data" / name).write_bytes(content)
    paths = (f"ingest.sources_dir={root / 'sources'}", f"ingest.data_dir={root / 'data'}")
    ctx = lake_context(spark, root / "lake", *paths, fingerprint="1" * 64)
    ingest.run(ctx)
    version = ctx.tables.version(DELIVERY)
    ingest.run(lake_context(spark, root / "lake", *paths, fingerprint="2" * 64))
    assert ctx.tables.version(DELIVERY) == version, "a second run finds nothing new"

    rows = [row for row in ctx.tables.read(DELIVERY).collect() if row["status"] not in ("planned", "withdrawn")]
    assert {row["file"].split("!")[0] for row in rows} == set(files), "every file has a status"
    assert all(row["reason"] and row["hint"] for row in rows if row["status"] == "rejected")
    written = Counter()
    for name, _ in sources():
        if ctx.tables.exists(bronze(name)):
            records = ctx.tables.read(bronze(name))
            assert records.select("_row_id").distinct().count() == records.count()
            written.update({row["_file"]: row["count"] for row in records.groupBy("_file").count().collect()})
    unaccounted = []
    for row in rows:
        expected = num_records(row["file"].split("!")[0], files[row["file"].split("!")[0]])
        known = (written[row["file"]], *([expected] if row["status"] == "ingested" and expected is not None else []))
        unaccounted += [(row["file"], row["num_rows"], *known)] if set(known) != {row["num_rows"]} else []
    return Counter(row["status"] for row in rows), Counter(row["reason"] for row in rows), unaccounted


def test_sixty_mutated_files_are_read_or_rejected(spark, tmp_path):
    statuses, _, unaccounted = ingested(spark, tmp_path, 60, seed=1)
    assert unaccounted == []
    assert min(statuses["ingested"], statuses["rejected"]) >= 10, "both occur"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(100, 104))
def test_two_thousand_mutated_files_are_read_or_rejected(spark, tmp_path, seed):
    statuses, reasons, unaccounted = ingested(spark, tmp_path, 500, seed=seed)
    print(dict(statuses), dict(reasons))
    assert unaccounted == []
