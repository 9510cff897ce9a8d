"""A lake at a URI, by default on a real HDFS: its files, its lease, and stages that run there."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from install import SetupError
from local_cluster import hdfs

from crm_spark.cli.app import run
from crm_spark.core.errors import LeaseHeldError
from crm_spark.core.files import LakeFiles
from crm_spark.core.hadoop_files import HadoopFolder
from crm_spark.core.uri_lease import UriLease

TEA_SHOP = Path(__file__).resolve().parents[3] / "conf" / "examples" / "tea_shop"


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    if given := os.environ.get("CRM_SPARK_TEST_STORE"):  # see tests/e2e/test_s3.py
        yield given
        return
    try:
        with hdfs(tmp_path_factory.mktemp("hdfs")) as service:
            yield service.url
    except SetupError as error:
        pytest.skip(str(error))


@pytest.fixture
def lake(store, tmp_path, monkeypatch):
    """A new lake; the copies of its files are those of one machine."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return f"{store}/{tmp_path.name}"


def on_another_machine(monkeypatch, tmp_path, name="other"):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))


def test_files_are_written_back_and_fetched_elsewhere(spark, lake, tmp_path, monkeypatch):
    here = LakeFiles(spark, lake)
    here.fetch()
    (here.folder / "models" / "a").mkdir(parents=True)
    (here.folder / "models" / "a" / "weights").write_text("1")
    (here.folder / "models" / "registry.json").write_text("{}")
    (here.folder / "training").mkdir()
    (here.folder / "training" / "checkpoint").write_text("of this machine")
    here.publish()
    on_another_machine(monkeypatch, tmp_path)
    there = LakeFiles(spark, lake)
    there.fetch()
    found = {str(path.relative_to(there.folder)) for path in there.folder.rglob("*") if path.is_file()}
    assert found == {"models/a/weights", "models/registry.json"}
    (there.folder / "models" / "a" / "weights").write_text("changed there")
    (there.folder / "models" / "registry.json").unlink()
    there.publish()
    here.fetch()
    assert (here.folder / "models" / "a" / "weights").read_text() == "changed there"
    assert (
        not (here.folder / "models" / "registry.json").exists() and (here.folder / "training" / "checkpoint").exists()
    )


def test_equal_files_are_copied_once(spark, lake):
    files = LakeFiles(spark, lake)
    files.fetch()
    files.folder.mkdir(parents=True, exist_ok=True)
    (files.folder / "report.html").write_text("x" * 1000)
    files.publish()
    written_at = HadoopFolder(spark, f"{lake}/files").stamp("report.html")
    copied_at = (files.folder / "report.html").stat().st_mtime_ns
    files.publish()
    again = LakeFiles(spark, lake)
    again.fetch()
    assert HadoopFolder(spark, f"{lake}/files").stamp("report.html") == written_at
    assert (files.folder / "report.html").stat().st_mtime_ns == copied_at


def test_a_copy_that_was_cut_off_is_fetched_again(spark, lake):
    remote = HadoopFolder(spark, f"{lake}/files")
    remote.create("models/a/weights", b"whole")
    files = LakeFiles(spark, lake)
    files.fetch()
    (files.folder / "models" / "a" / "weights").write_text("who")
    LakeFiles(spark, lake).fetch()
    assert (files.folder / "models" / "a" / "weights").read_text() == "whole"


def test_what_names_a_version_as_current_is_written_last(spark, lake, monkeypatch):
    uploaded = []
    upload = HadoopFolder.upload
    monkeypatch.setattr(
        HadoopFolder, "upload", lambda self, source, name: (uploaded.append(name), upload(self, source, name))
    )
    files = LakeFiles(spark, lake)
    files.fetch()
    for name in ("shards/current", "shards/s1/manifest.json", "shards/s1/train/0.parquet", "models/registry.json"):
        (files.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (files.folder / name).write_text("x")
    files.publish()
    assert uploaded == [
        "shards/s1/train/0.parquet",
        "shards/s1/manifest.json",
        "models/registry.json",
        "shards/current",
    ]


def test_one_run_at_a_time(spark, lake):
    with UriLease(spark, lake, run_id="first") as lease:
        with lease.committing():
            pass
        with (
            pytest.raises(LeaseHeldError, match=r"run first \(process \d+ on "),
            UriLease(spark, lake, run_id="second"),
        ):
            pass
    with UriLease(spark, lake, run_id="third") as later:
        assert later.token == lease.token + 1


def test_a_holder_that_is_replaced_cannot_commit(spark, lake):
    first = UriLease(spark, lake, run_id="first", time_to_live_seconds=1)
    first.__enter__()
    first._stop.set()  # suspended: it no longer renews the lease
    first._thread.join()
    HadoopFolder(spark, f"{lake}/_lease").create(
        first._name,
        json.dumps({"run_id": "first", "host": "elsewhere", "time_to_live_seconds": 1}).encode(),
        is_overwriting=True,
    )
    time.sleep(2.5)  # S3 stamps whole seconds
    with (
        UriLease(spark, lake, run_id="second"),
        pytest.raises(LeaseHeldError, match="stops before writing"),
        first.committing(),
    ):
        pass
    # Also after the second has ended, and a third has begun: numbers are never used twice.
    with pytest.raises(LeaseHeldError), first.committing():
        pass
    with UriLease(spark, lake, run_id="third"), pytest.raises(LeaseHeldError), first.committing():
        pass


def test_the_lease_of_an_ended_process_is_taken_over(spark, lake):
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
    content = {"run_id": "killed", "pid": int(ended.stdout), "host": os.uname().nodename, "time_to_live_seconds": 600}
    HadoopFolder(spark, f"{lake}/_lease").create(f"{7:020d}", json.dumps(content).encode())
    with UriLease(spark, lake, run_id="next") as lease:
        assert lease.token == 8


def test_of_several_clients_one_creates_a_file(spark, lake):
    folder = HadoopFolder(spark, lake)
    assert folder.create("file", b"a") and not folder.create("file", b"b")
    assert folder.read("file") == b"a" and folder.read("none") is None
    assert folder.create("file", b"c", is_overwriting=True) and folder.read("file") == b"c"


def test_stages_run_on_a_lake_at_a_uri(spark, lake, store, tmp_path, monkeypatch, capsys):
    drops = HadoopFolder(spark, f"{lake}-drops")
    for path in (TEA_SHOP / "data").iterdir():
        drops.upload(path, path.name)
    options = [
        "--lake",
        lake,
        "--set",
        f"ingest.sources_dir={TEA_SHOP / 'sources'}",
        "--set",
        f"ingest.data_dir={drops.uri}",
    ]
    assert run("ingest", options) == 0
    assert spark.read.format("delta").load(f"{lake}/bronze/order_lines").count() == 76
    on_another_machine(monkeypatch, tmp_path)
    capsys.readouterr()
    assert run("models", ["--lake", lake]) == 0 and "no model yet" in capsys.readouterr().out
