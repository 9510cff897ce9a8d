"""Ingest from a Hadoop URI gives the same tables as from the local folder."""

from dataclasses import replace
from datetime import datetime
from pathlib import Path
from uuid import uuid4

import pytest
from support.company import deliver, lay_out
from support.lake import lake_context

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import DELIVERY
from crm_spark.core.errors import InputError
from crm_spark.core.hashing import frame_digest
from crm_spark.settings import load_settings
from crm_spark.stages.ingest import stage as ingest
from crm_spark.stages.ingest.source_file import SourceFile
from crm_spark.stages.ingest.staging import is_remote, staged


@pytest.fixture
def ingested(spark, tmp_path):
    """Ingest from a folder, or from a viewfs mount that points to it; without a number, as another run."""
    lay_out(tmp_path)
    deliver(tmp_path, "day 02 100%ä+b [1]", ["D2;1;K2;X;1;2,00;02.01.2025 12:00;OK"], [])
    shop = f"shop{uuid4().hex}"  # Hadoop keeps the file system of an authority, and where it leads, for ever
    spark.conf.set(f"fs.viewfs.mounttable.{shop}.link./drops", f"file://{tmp_path / 'data'}")

    def ingested(lake, data_dir, *overrides, number=0):
        ctx = lake_context(spark, tmp_path / lake, fingerprint=f"{number:064}")
        data_dir = str(data_dir).replace("//shop/", f"//{shop}/")
        settings = load_settings(tmp_path / "company.yaml", [f"ingest.data_dir={data_dir}", *overrides])
        ctx = replace(ctx, settings=settings)
        return ctx, ingest.run(ctx)

    yield ingested
    spark.conf.unset(f"fs.viewfs.mounttable.{shop}.link./drops")


def content(ctx):
    frames = [
        ctx.tables.read(bronze(name)).drop("_batch_id", "_run_id", "_arrived_at") for name in ("orders", "reviews")
    ]
    return [frame_digest(frame) for frame in frames]


def statuses(ctx):
    return sorted((row["file"], row["status"], row["reason"]) for row in ctx.tables.read(DELIVERY).collect())


def test_uri_gives_the_same_tables_as_the_folder(ingested, tmp_path):
    local, _ = ingested("here", tmp_path / "data")
    remote, result = ingested("there", "viewfs://shop/drops")
    assert result.num_rows == 17 and content(remote) == content(local) and statuses(remote) == statuses(local)
    assert not (tmp_path / "there" / "files" / "fetched").exists()
    assert ingested("there", "viewfs://shop/drops", number=1)[1].status == "no_new_input"
    deliver(tmp_path, "3", ["D3;1;K3;X;1;2,00;03.01.2025 12:00;OK"], [])
    _, result = ingested("there", "viewfs://shop/drops", number=2)
    assert result.num_rows == 1, "only what is new is fetched"


@pytest.mark.slow
def test_stream_reads_from_a_uri(ingested, tmp_path):
    local, _ = ingested("here", tmp_path / "data")
    remote, result = ingested("there", "viewfs://shop/drops", "ingest.files_per_batch=1")
    assert result.num_rows == 17 and content(remote) == content(local)


def test_equal_file_names_are_kept_apart_and_missing_files_get_a_missing_path(spark, tmp_path):
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.csv").write_text(folder)
    shop = f"shop{uuid4().hex}"
    spark.conf.set(f"fs.viewfs.mounttable.{shop}.link./drops", f"file://{tmp_path}")
    at = datetime(2025, 1, 1)
    files = [SourceFile("s", f"{f}/x.csv", f"viewfs://{shop}/drops/{f}/x.csv", 1, at) for f in ("a", "b", "gone")]
    with staged(lake_context(spark, tmp_path / "lake")) as fetch:
        a, missing = fetch([files[0], files[2]])
        (b,) = fetch([files[1]])
        assert [Path(file.path).read_text() for file in (a, b)] == ["a", "b"]
        assert not Path(missing.path).exists() and (missing.name, a.name) == ("gone/x.csv", "a/x.csv")
    assert not Path(a.path).exists()


def test_inaccessible_folder_is_rejected(ingested):
    for uri, message in {
        "viewfs://shop/nothing": "cannot list viewfs://shop.*/nothing",
        "nosuch://bucket/drops": "cannot list nosuch://bucket/drops: .*nosuch",
    }.items():
        with pytest.raises(InputError, match=message):
            ingested("there", uri)


def test_uri_schemes_of_remote_folders_are_recognised():
    assert all(map(is_remote, ("s3a://b/d", "hdfs:/d", "abfss://c@a.dfs.core.windows.net/d", "viewfs://shop/drops")))
    assert not any(map(is_remote, ("/d", "d/e", "file:/d", "file:///d", "~/d", "/d/with:colon/", "C:/d")))
