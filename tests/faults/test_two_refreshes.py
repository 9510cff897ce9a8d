"""Two refreshes at once: one works, the other ends with exit code 4, and who lost the lake commits nothing."""

import fcntl
import json
import os
import shutil
import signal
import time

import pytest
from support.company import lay_out
from support.jobs import run, started
from support.lease_client import Blind, Slow, Taker, WithoutLocks, takers
from support.refreshed import digests, files_of

from crm_spark.cli.app import run as main
from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import DELIVERY
from crm_spark.core.errors import LeaseHeldError
from crm_spark.core.lease import LEASE_FILE, LOCK_FILE, TIME_TO_LIVE_SECONDS, Lease
from crm_spark.core.tables import TableStore

SECONDS = 0.4


def left_by_a_killed_process(lake):
    taker = Taker(Slow)
    taker.ask("take", lake, TIME_TO_LIVE_SECONDS)
    taker.kill()


def left_on_another_machine(lake):
    left_by_a_killed_process(lake)
    lease = lake / LEASE_FILE
    lease.write_text(json.dumps({**json.loads(lease.read_text()), "host": "elsewhere"}))
    long_ago = time.time() - TIME_TO_LIVE_SECONDS - 1
    os.utime(lease, (long_ago, long_ago))


def round_of(racing, lake):
    """Who holds the lake after all of them tried to take it at once."""
    for taker in racing:
        taker.tell("take", lake, TIME_TO_LIVE_SECONDS)
    return [taker for taker in racing if taker.answer() == f"held {lake}"]


@pytest.mark.parametrize("left", [None, left_by_a_killed_process, left_on_another_machine])
def test_one_of_eight_concurrent_clients_acquires_the_lease(tmp_path, left):
    before, token = tmp_path / "before", 2 if left else 1
    before.mkdir()
    if left:
        left(before)
    with takers(Slow, 8) as racing:
        for number in range(25):
            lake = tmp_path / str(number)
            shutil.copytree(before, lake)
            holders = round_of(racing, lake)
            assert len(holders) == 1
            assert [taker.ask("commit") for taker in holders] == ["committed"]
            assert json.loads((lake / LEASE_FILE).read_text())["token"] == token
            assert [taker.ask("leave") for taker in holders] == ["left"]
            assert not (lake / LEASE_FILE).exists()


def test_without_file_locks_several_clients_may_start_and_one_may_commit(tmp_path):
    """The negative control of the rounds above, and what is left of the promise there."""
    left_by_a_killed_process(tmp_path)
    with takers(WithoutLocks, 8) as racing:
        holders = round_of(racing, tmp_path)
        assert len(holders) > 1
        assert [taker.ask("commit") for taker in holders].count("committed") == 1


def stopped_and_replaced(holder, lake, orders):
    """What a holder answers that was stopped for longer than its time to live, while another took the lake."""
    assert holder.ask("take", lake, SECONDS).startswith("held")
    holder.stop()
    time.sleep(SECONDS + 0.1)
    with Lease(str(lake), run_id="next") as lease:
        holder.go_on()
        answers = [holder.ask(order) for order in orders]
        with lease.committing():
            assert json.loads((lake / LEASE_FILE).read_text())["run_id"] == "next"
    return answers


def test_holder_stopped_beyond_its_time_to_live_cannot_commit(tmp_path):
    with takers(Slow, 1) as (holder,):
        for number in range(10):
            refused, left = stopped_and_replaced(holder, tmp_path / str(number), ["commit", "leave"])
            assert "another run took over the lease; this run stops before writing" in refused
            assert left == "left"


def test_holder_without_the_check_would_commit(tmp_path):
    with takers(Blind, 1) as (holder,):
        assert stopped_and_replaced(holder, tmp_path, ["commit"]) == ["committed"]


def test_holder_stopped_within_a_commit_is_not_replaced(tmp_path):
    with takers(Slow, 1) as (holder,):
        holder.ask("take", tmp_path, SECONDS)
        assert holder.ask("begin") == "begun"
        holder.stop()
        time.sleep(SECONDS + 0.1)
        with (
            pytest.raises(LeaseHeldError, match=rf"process {holder.process.pid} .* Wait until it ends, or end it"),
            Lease(str(tmp_path), run_id="next", time_to_live_seconds=SECONDS),
        ):
            pass
        holder.go_on()
        assert holder.ask("end") == "committed"
        holder.stop()  # once its commit has ended it can be
        time.sleep(SECONDS + 0.1)
        with Lease(str(tmp_path), run_id="next"):
            pass


def test_without_file_locks_it_is_replaced_and_reports_it_afterwards(tmp_path):
    with takers(WithoutLocks, 1) as (holder,):
        holder.ask("take", tmp_path, SECONDS)
        holder.ask("begin")
        holder.stop()
        time.sleep(SECONDS + 0.1)
        with Lease(str(tmp_path), run_id="next"):
            holder.go_on()
            assert "another run took over the lease during a write" in holder.ask("end")


def content(spark, lake):
    """What ingest makes of the files, whenever they were written."""
    store = TableStore(spark, str(lake))
    statuses = store.read(DELIVERY).select("source", "file", "status", "num_rows").collect()
    return digests(store, [bronze("orders"), bronze("reviews")]), sorted(map(tuple, statuses))


@pytest.fixture(scope="module")
def undisturbed(spark, tmp_path_factory):
    root = tmp_path_factory.mktemp("undisturbed")
    assert main("ingest", ["--conf", str(lay_out(root, second=True)), "--lake", str(root / "lake")]) == 0
    return content(spark, root / "lake")


@pytest.mark.slow
@pytest.mark.parametrize("number", range(3))
def test_one_of_two_concurrent_jobs_ends_with_exit_code_4(spark, tmp_path, undisturbed, number):
    arguments = ("--conf", lay_out(tmp_path, second=True), "--lake", tmp_path / "lake")
    with started("ingest", *arguments) as one, started("ingest", *arguments) as other:
        stderr_of = {process: process.communicate()[1] for process in (one, other)}
    assert sorted(process.returncode for process in stderr_of) == [0, 4]
    loser = one if one.returncode == 4 else other
    assert "holds the lease of this lake" in stderr_of[loser] and "Traceback" not in stderr_of[loser]
    assert content(spark, tmp_path / "lake") == undisturbed


def is_committing(lake):
    """Whether the holder has the lock that surrounds a commit."""
    with (lake / LOCK_FILE).open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def stop_when(process, is_time):
    """Stops the job and its JVM where `is_time` says so and still says so once they stand still."""
    while process.poll() is None:
        if is_time():
            os.killpg(process.pid, signal.SIGSTOP)
            time.sleep(0.1)
            if is_time():
                return
            os.killpg(process.pid, signal.SIGCONT)
        time.sleep(0.01)
    raise AssertionError("the job ended before it could be stopped")


def tables_of(lake):
    return {name: stat for name, stat in files_of(lake).items() if not name.startswith("_lease")}


@pytest.mark.slow
def test_stopped_and_replaced_job_ends_with_exit_code_4_and_changes_nothing(spark, tmp_path, undisturbed):
    lake = tmp_path / "lake"
    arguments = ("--conf", lay_out(tmp_path, second=True), "--lake", lake, "--set", "lease_seconds=2")
    planned = lake / "ops" / "delivery" / "_delta_log" / "00000000000000000001.json"
    with started("ingest", *arguments) as stopped:
        stop_when(stopped, lambda: planned.exists() and not is_committing(lake))
        time.sleep(2.1)
        assert run("ingest", *arguments)[0] == 0
        before = tables_of(lake)
        os.killpg(stopped.pid, signal.SIGCONT)
        stderr = stopped.communicate()[1]
        assert stopped.returncode == 4
        assert "another run took over the lease; this run stops" in stderr and "Traceback" not in stderr
    assert tables_of(lake) == before
    assert content(spark, lake) == undisturbed


@pytest.mark.slow
def test_job_stopped_within_a_commit_keeps_the_lease_and_finishes(spark, tmp_path, undisturbed):
    lake = tmp_path / "lake"
    arguments = ("--conf", lay_out(tmp_path, second=True), "--lake", lake, "--set", "lease_seconds=2")
    with started("ingest", *arguments) as stopped:
        stop_when(stopped, lambda: (lake / "bronze").exists() and is_committing(lake))
        time.sleep(2.1)
        before = tables_of(lake)
        code, stderr = run("ingest", *arguments)
        assert code == 4 and f"process {stopped.pid}" in stderr and "Traceback" not in stderr
        assert tables_of(lake) == before
        os.killpg(stopped.pid, signal.SIGCONT)
        stopped.communicate()
        assert stopped.returncode == 0
    assert content(spark, lake) == undisturbed
