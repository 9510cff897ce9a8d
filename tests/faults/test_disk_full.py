"""A disk that is full: the job says so in a sentence, no table is harmed, and the same command goes on once there is room."""

import os
import time

import pytest
from support.company import SECOND, deliver, lay_out
from support.disk import filled_up, small_disk
from support.jobs import run, started
from support.refreshed import digests

from crm_spark.cli.app import run as main
from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import QUARANTINE, RECONCILIATION
from crm_spark.contracts.silver import FEEDBACK, ORDER, ORDER_LINE
from crm_spark.core.errors import LeaseHeldError
from crm_spark.core.lease import LEASE_FILE, LOCK_FILE, TOKEN_FILE, Lease
from crm_spark.core.tables import TableStore

TABLES = (bronze("orders"), bronze("reviews"), ORDER, ORDER_LINE, FEEDBACK, QUARANTINE, RECONCILIATION)


@pytest.mark.slow
@pytest.mark.parametrize("place", ["", "_scratch"], ids=["lake", "scratch"])
@pytest.mark.parametrize("kilobytes", [16, 48, 96])
def test_full_disk_fails_the_job_and_damages_no_table(spark, tmp_path, capfd, place, kilobytes):
    conf, lake = str(lay_out(tmp_path)), tmp_path / "lake"
    store = TableStore(spark, str(lake))

    def job(stage):
        return main(stage, ["--conf", conf, "--lake", str(lake)])

    with small_disk(lake / place, megabytes=16):
        assert (job("ingest"), job("clean")) == (0, 0)
        before = digests(store, TABLES)
        deliver(tmp_path, "2", SECOND, [])
        stage = "clean" if place else "ingest"
        if place:
            assert job("ingest") == 0
            before = digests(store, TABLES)
        capfd.readouterr()
        with filled_up(lake / place, but_kilobytes=0 if place else kilobytes):
            assert job(stage) == 1
            errors = [line for line in capfd.readouterr().err.splitlines() if line.startswith("error: ")]
            during = digests(store, TABLES)
        assert len(errors) == 1 and errors[0].startswith("error: a disk is full")
        assert (job("ingest"), job("clean")) == (0, 0)
        after = digests(store, TABLES)
        assert all(during[table] in (before[table], after[table]) for table in before), "a table was written by half"
        assert during != after
        assert store.read(ORDER_LINE).count() == 7 and store.read(bronze("orders")).count() == 14


@pytest.mark.slow
@pytest.mark.parametrize("begins_full", [True, False], ids=["from_the_start", "once_it_shuffles"])
def test_full_shuffle_disk_fails_the_job_and_damages_no_table(spark, tmp_path, begins_full):
    conf, lake, shuffles = lay_out(tmp_path), tmp_path / "lake", tmp_path / "shuffles"
    store = TableStore(spark, str(lake))
    arguments = ("--conf", conf, "--lake", lake, "--set", f"session.local_dir={shuffles}")
    assert main("ingest", ["--conf", str(conf), "--lake", str(lake)]) == 0
    before = digests(store, TABLES)
    with small_disk(shuffles, megabytes=32):
        if begins_full:
            with filled_up(shuffles, but_kilobytes=0):
                code, stderr = run("clean", *arguments)
        else:
            with started("clean", *arguments) as job:
                while not any(shuffles.glob("blockmgr-*/*/shuffle_*.data")):
                    assert job.poll() is None, "it ended before it shuffled"
                    time.sleep(0.02)
                with filled_up(shuffles, but_kilobytes=0):
                    stderr = job.communicate()[1]
                code = job.returncode
        errors = [line for line in stderr.splitlines() if line.startswith("error: ")]
        assert code == 1 and "Traceback" not in stderr
        assert len(errors) == 1 and errors[0].startswith("error: a disk is full")
        assert digests(store, TABLES).items() >= before.items()
        assert run("clean", *arguments)[0] == 0
    assert store.read(ORDER_LINE).count() == 6 and store.read(bronze("orders")).count() == 12


def test_lease_is_not_acquired_on_a_full_disk_and_the_last_token_is_kept(tmp_path):
    with small_disk(tmp_path / "lake", megabytes=1):
        lake = tmp_path / "lake"
        with Lease(str(lake), run_id="a"), pytest.raises(LeaseHeldError), Lease(str(lake), run_id="b"):
            pass
        with (
            filled_up(lake, but_kilobytes=0),
            pytest.raises(OSError, match="No space left"),
            Lease(str(lake), run_id="c"),
        ):
            pass
        assert (lake / TOKEN_FILE).read_text() == "1" and not (lake / LEASE_FILE).exists()
        assert sorted(os.listdir(lake)) == [LOCK_FILE, TOKEN_FILE]
        with Lease(str(lake), run_id="d") as lease:
            assert lease.token == 2
