"""SIGKILL at moments drawn by lot: what a killed writer, or a killed refresh, began is there once or not at all.

`CRM_SPARK_KILLS=200 pytest -k writer_killed`, `CRM_SPARK_KILLS=40 pytest -k refreshes_killed`: as often as one has time for.
"""

import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.company import deliver, lay_out
from support.crash_test_writer import content_after, first_missing, go_on, go_on_by_a_file
from support.crash_testing import as_arguments, content, finish, kill, ledger, left_behind, num_kills, start
from support.jobs import start_script
from support.notes import NOTE
from support.notes import content as rows_in

from crm_spark.contracts.ops import DELIVERY

SAME_SESSION = ["session.shuffle_partitions=2", "session.settings={spark.sql.adaptive.enabled: 'false'}"]


def lots():
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


def seconds_of_a_batch(lake):
    """What a writer takes for its first batch, left alone: on a busy machine several times what it takes on an idle one."""
    writer = start_script("tests/support/crash_test_writer.py", lake, stdout=subprocess.PIPE)
    writer.stdout.readline()
    began = time.monotonic()
    writer.stdout.readline()
    usual = time.monotonic() - began
    assert kill(writer)
    return usual


def wait_for_a_moment(lot, table, usual):
    """Half of the moments lie anywhere in the first batches, half around a commit: soon after a new data file is there."""
    known = set(table.glob("part-*.parquet"))
    if lot.random() < 0.5:
        time.sleep(lot.uniform(0, 2 * usual))
        return
    deadline = time.monotonic() + 60
    while set(table.glob("part-*.parquet")) <= known and time.monotonic() < deadline:
        time.sleep(0.002)
    time.sleep(lot.uniform(0, usual / 4))


@pytest.mark.slow
@pytest.mark.timeout(14400)
def test_killed_writer_writes_each_batch_once(spark, store, tmp_path):
    """Each time the table holds the batches before the one that was killed, and of that one all or nothing."""
    lot, wanted, usual = lots(), num_kills(20), seconds_of_a_batch(tmp_path / "first")
    num_landed = num_in_files = 0
    for _ in range(wanted):
        writer = start_script("tests/support/crash_test_writer.py", store.root, stdout=subprocess.PIPE)
        number, known = int(writer.stdout.readline()), left_behind(tmp_path / "lake")
        wait_for_a_moment(lot, Path(store.path(NOTE)), usual)
        assert kill(writer)
        number = int([number, *writer.stdout.read().split()][-1])  # it may have come to a later batch
        there = rows_in(store) if store.exists(NOTE) else []
        has_landed = first_missing(store) > number
        num_landed += has_landed
        num_in_files += not has_landed and not left_behind(tmp_path / "lake") <= known
        assert there == content_after(number + has_landed)
    print(f"{wanted} kills: {num_landed} after the commit, {num_in_files} after data files, the others before them")
    assert 0 < num_landed < wanted
    end = first_missing(store) + 1
    go_on(store, end=end)
    assert rows_in(store) == content_after(end)
    assert store.version(NOTE) == end  # version 0 made the table, and each batch is one version


@pytest.mark.slow
@pytest.mark.parametrize(("order", "times"), [("before", [1, 0, 1]), ("after", [1, 2, 1])])
def test_progress_file_beside_the_table_loses_or_duplicates_a_batch(spark, store, tmp_path, order, times):
    """The negative control: the same kill, progress noted before or after the write."""
    writer = start_script("tests/support/crash_test_writer.py", store.root, tmp_path, order)
    writer.communicate(timeout=280)
    assert writer.returncode == -signal.SIGKILL
    go_on_by_a_file(store, tmp_path, order, end=3)
    there = rows_in(store)
    assert [there.count((f"{number}-0", number)) for number in range(3)] == times


def deliver_day(root, n):
    """One line and one review that silver has not seen."""
    day = f"{n % 28 + 1:02}"
    month = f"{n // 28 + 2:02}"
    orders = [f"C{n};1;K{n % 3 + 1};X;1;10,50;{day}.{month}.2025 10:00;OK"]
    deliver(root, f"more-{n:03}", orders, [f"c{n},K{n % 3 + 1},2025-{month}-{day},{n % 5 + 1},text {n}"])


@pytest.mark.slow
@pytest.mark.timeout(14400)
def test_refreshes_killed_at_random_times_give_the_same_tables(spark, tmp_path):
    """Whenever the lake got through a refresh, the next delivery comes: there is always something to interrupt."""
    lot, wanted, num_killed, num_deliveries = lots(), num_kills(10), 0, 0
    conf, whole, lake = lay_out(tmp_path, second=True), tmp_path / "whole", tmp_path / "killed"
    arguments = ["--conf", conf, *as_arguments(SAME_SESSION)]
    began = time.monotonic()
    assert start("refresh", *arguments, "--lake", tmp_path / "first").wait() == 0
    usual_seconds = time.monotonic() - began
    finish(conf, whole, SAME_SESSION)
    while num_killed < wanted:
        refresh = start("refresh", *arguments, "--lake", lake)
        try:
            refresh.wait(timeout=lot.uniform(3, usual_seconds))
        except subprocess.TimeoutExpired:
            num_killed += kill(refresh)
            continue
        assert refresh.returncode == 0, refresh.stderr.read()
        assert content(spark, lake, tmp_path / "sources", DELIVERY) == content(
            spark, whole, tmp_path / "sources", DELIVERY
        )
        num_deliveries += 1
        deliver_day(tmp_path, num_deliveries)
        finish(conf, whole, SAME_SESSION)
    finish(conf, lake, SAME_SESSION)
    print(f"{num_killed} kills of refreshes that took {usual_seconds:.0f} s, {num_deliveries} deliveries between them")
    assert content(spark, lake, tmp_path / "sources", DELIVERY) == content(spark, whole, tmp_path / "sources", DELIVERY)
    assert ledger(spark, lake) == ledger(spark, whole)
