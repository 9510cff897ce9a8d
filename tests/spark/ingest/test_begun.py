"""Recovery from an interrupted ingest: unfinished batches are completed, or withdrawn if their files changed."""

import os

import pytest
from pyspark.sql import functions as F
from support.lake import lake_context

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import DELIVERY
from crm_spark.core.contract import TableContract
from crm_spark.stages.ingest import stage

SOURCE = (
    'files: {{path: "{name}/*.csv", format: csv}}\nfeeds: {{product: {{columns: {{product_id: id, name: name}}}}}}\n'
)
SEEN_AT = (1_700_000_000,) * 2


class Ended(Exception):
    """Raised where the run is interrupted."""


def lay(root, name, text):
    path = root / "data" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, SEEN_AT)
    return path


@pytest.fixture
def company(tmp_path):
    """Two sources; the first has two files."""
    (tmp_path / "sources").mkdir()
    for name in ("shop", "desk"):
        (tmp_path / "sources" / f"{name}.yaml").write_text(SOURCE.format(name=name))
    lay(tmp_path, "shop/a.csv", "id,name\n1,Lamp\n")
    lay(tmp_path, "shop/b.csv", "id,name\n2,Rug\n3,Bed\n")
    lay(tmp_path, "desk/c.csv", "id,name\n4,Pen\n")
    return tmp_path


def run(spark, root, number, *, ends_at: TableContract | None = None):
    """One run; with `ends_at` it is interrupted at the second commit to that table, or the first to bronze."""
    paths = (f"ingest.sources_dir={root / 'sources'}", f"ingest.data_dir={root / 'data'}")
    ctx = lake_context(spark, root / "lake", *paths, fingerprint=f"{number:064}")
    if ends_at is None:
        stage.run(ctx)
        return ctx
    inner = ctx.tables._commit
    tables = []

    def ends(table, *arguments):
        tables.append(table.name)
        if table.name == ends_at.name and (table.layer == "bronze" or tables.count(table.name) == 2):
            raise Ended
        return inner(table, *arguments)

    ctx.tables._commit = ends
    with pytest.raises(Ended):
        stage.run(ctx)
    return ctx


def statuses(ctx):
    rows = ctx.tables.read(DELIVERY).collect()
    return sorted((r["source"], r["file"], r["status"], r["reason"]) for r in rows)


def names(ctx, source):
    return sorted(r["name"] for r in ctx.tables.read(bronze(source)).collect())


def test_unfinished_batches_are_completed_as_planned(spark, company):
    run(spark, company, 1, ends_at=bronze("shop"))
    lay(company, "shop/later.csv", "id,name\n9,Cup\n")
    ctx = run(spark, company, 2)
    assert names(ctx, "shop") == ["Bed", "Cup", "Lamp", "Rug"] and names(ctx, "desk") == ["Pen"]
    assert {status for _, _, status, _ in statuses(ctx)} == {"ingested"}
    assert ctx.tables.read(DELIVERY).where("source = 'shop'").select("batch_id").distinct().count() == 2


def test_changed_content_with_equal_size_and_time_is_detected(spark, company):
    run(spark, company, 1, ends_at=bronze("shop"))
    lay(company, "shop/b.csv", "id,name\n2,Tub\n3,Bed\n")
    ctx = run(spark, company, 2)
    assert names(ctx, "shop") == ["Bed", "Lamp", "Tub"] and names(ctx, "desk") == ["Pen"]
    assert statuses(ctx) == [
        ("desk", "desk/c.csv", "ingested", None),
        ("shop", "shop/a.csv", "ingested", None),
        ("shop", "shop/a.csv", "withdrawn", None),
        ("shop", "shop/b.csv", "ingested", None),
        ("shop", "shop/b.csv", "withdrawn", "changed_since"),
    ]
    written = ctx.tables.read(bronze("shop")).select("_file", "_file_sha256").distinct()
    recorded = ctx.tables.read(DELIVERY).where("status = 'ingested'").select(F.col("file"), F.col("file_sha256"))
    assert (
        written.join(recorded, [F.col("_file") == F.col("file"), F.col("_file_sha256") == F.col("file_sha256")]).count()
        == 2
    )


def test_deleted_file_withdraws_its_batch_and_is_ingested_when_it_returns(spark, company):
    run(spark, company, 1, ends_at=bronze("shop"))
    (company / "data" / "shop" / "b.csv").unlink()
    ctx = run(spark, company, 2)
    assert names(ctx, "shop") == ["Lamp"] and names(ctx, "desk") == ["Pen"]
    assert ("shop", "shop/b.csv", "withdrawn", "changed_since") in statuses(ctx)
    lay(company, "shop/b.csv", "id,name\n2,Rug\n3,Bed\n")
    ctx = run(spark, company, 3)
    assert names(ctx, "shop") == ["Bed", "Lamp", "Rug"]
    assert ("shop", "shop/b.csv", "ingested", None) in statuses(ctx)


def test_batch_already_in_bronze_is_recorded_without_its_files(spark, company):
    run(spark, company, 1, ends_at=DELIVERY)
    for name in ("a.csv", "b.csv"):
        (company / "data" / "shop" / name).unlink()
    ctx = run(spark, company, 2)
    assert names(ctx, "shop") == ["Bed", "Lamp", "Rug"]
    assert {(file, status) for _, file, status, _ in statuses(ctx)} == {
        ("desk/c.csv", "ingested"),
        ("shop/a.csv", "ingested"),
        ("shop/b.csv", "ingested"),
    }
    counted = {r["file"]: r["num_rows"] for r in ctx.tables.read(DELIVERY).collect()}
    assert counted == {"desk/c.csv": 1, "shop/a.csv": 1, "shop/b.csv": 2}
