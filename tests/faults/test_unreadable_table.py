"""A data file of a table that is gone, damaged or locked away: the job names it, and writes nothing from what is left."""

import shutil
import sys

import pytest
from support.company import lay_out
from support.jobs import unprivileged
from support.refreshed import ROOT, files_of

from crm_spark.cli.app import run as main

pytestmark = pytest.mark.slow


def delete(part):
    part.unlink()


def make_a_folder(part):
    part.unlink()
    part.mkdir()


def flip_a_bit(part):
    part.with_name(f".{part.name}.crc").unlink()  # Hadoop's own, which object stores and other writers do not leave
    data = bytearray(part.read_bytes())
    data[40] ^= 1
    part.write_bytes(data)


@pytest.fixture(scope="module")
def lakes(spark, tmp_path_factory):
    """The settings; and by stage a lake on which it is that stage's turn."""
    root = tmp_path_factory.mktemp("company")
    conf, ingested, cleaned = str(lay_out(root)), root / "ingested", root / "cleaned"
    assert main("ingest", ["--conf", conf, "--lake", str(ingested)]) == 0
    shutil.copytree(ingested, cleaned)
    assert main("clean", ["--conf", conf, "--lake", str(cleaned)]) == 0
    return conf, {"clean": ingested, "resolve": cleaned}


def copied(lake, target, table):
    """A lake of the test's own, and the largest data file of one of its tables."""
    shutil.copytree(lake, target)
    return max((target / table).glob("part-*.parquet"), key=lambda path: path.stat().st_size)


def commits(lake):
    return {name: stat for name, stat in files_of(lake).items() if "_delta_log" in name}


@pytest.mark.parametrize(
    ("spoil", "why"), [(delete, "not there"), (make_a_folder, "not there"), (flip_a_bit, "damaged")]
)
@pytest.mark.parametrize(("stage", "table"), [("clean", "bronze/orders"), ("resolve", "silver/order")])
def test_unreadable_file_is_named_and_nothing_is_written(spark, lakes, tmp_path, capfd, stage, table, spoil, why):
    conf, lake = lakes[0], tmp_path / "lake"
    part = copied(lakes[1][stage], lake, table)
    arguments = ["--conf", conf, "--lake", str(lake)]
    whole = part.read_bytes()
    spoil(part)
    before = commits(lake)
    assert main(stage, arguments) == 1
    errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1 and f"lake/{table}: file {part.name} cannot be read: it is {why}" in errors[0]
    assert commits(lake) == before
    if part.is_dir():
        part.rmdir()
    part.with_name(f".{part.name}.crc").unlink(missing_ok=True)  # of the spoilt file
    part.write_bytes(whole)
    assert main(stage, arguments) == 0


def test_file_without_read_permission_is_named(lakes, tmp_path):
    conf, lake = lakes[0], tmp_path / "lake"
    part = copied(lakes[1]["clean"], lake, "bronze/orders")
    part.chmod(0)
    before = commits(lake)
    arguments = ("--conf", conf, "--lake", str(lake))
    done = unprivileged(sys.executable, str(ROOT / "jobs" / "clean.py"), *arguments)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"lake/bronze/orders: file {part.name} cannot be read: permission denied" in done.stderr
    assert commits(lake) == before
