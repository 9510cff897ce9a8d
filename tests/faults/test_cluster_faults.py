"""Processes, nodes, disks and the store fail during a refresh on a cluster: it ends or continues, with the tables of local mode."""

import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from cluster_demo import COMPARED, copy_from, copy_to, rows_of, submit_command, submit_environment
from local_cluster import cluster, hdfs, safe_mode
from support.disk import filled_up, small_disk

from crm_spark.stages import STAGES

ROOT = Path(__file__).resolve().parents[2]
# Hundreds of texts, seen once: TF-IDF would win, and nothing would be scored.
SETTINGS = ('train.baselines=["class_prior"]', "resolve.backend=spark")
pytestmark = [pytest.mark.e2e, pytest.mark.slow]


class Refresh:
    """A refresh that was submitted; what it logs is read while it runs."""

    def __init__(self, command, env):
        how = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self.process = subprocess.Popen(["sh", "-ec", f"exec {command}"], cwd=ROOT, env=env, **how)
        self.log = ""
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.log += line

    @property
    def ended(self):
        return set(re.findall(r"\d\d:\d\d:\d\d +(\w+) +(?:done|up to date)", self.log)) & set(STAGES)

    def wait_for(self, *, stage):
        """Wait until a stage works."""
        before = None if stage == STAGES[0] else STAGES[STAGES.index(stage) - 1]
        while before and before not in self.ended:
            assert self.process.poll() is None, self.log[-3000:]
            time.sleep(0.1)
        time.sleep(2 if before else 20)

    def kill(self):
        """Kill the driver and all processes that it started."""
        everything = [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]
        for each in everything:
            each.kill()
        self.wait()

    def wait(self):
        code = self.process.wait(timeout=1800)
        self.reader.join()
        return code


def executors(service):
    """The running executors of a cluster."""
    found = []
    for name, process in service.processes.items():
        if name.startswith("worker") and process.poll() is None:
            children = psutil.Process(process.pid).children(recursive=True)
            found += [child for child in children if "CoarseGrainedExecutorBackend" in " ".join(child.cmdline())]
    return found


@pytest.fixture(scope="module")
def company(tmp_path_factory):
    """Files of a company, and the lake that local mode makes of them."""
    out = tmp_path_factory.mktemp("company")
    generate = [sys.executable, "jobs/generate.py", "--out", str(out), "--customers", "1000"]
    subprocess.run(generate, cwd=ROOT, check=True, capture_output=True)
    settings = [f"ingest.data_dir={out / 'drops'}", *SETTINGS]
    local = [sys.executable, "jobs/refresh.py", "--conf", "conf/demo.yaml", "--lake", str(out / "lake")]
    local += [word for setting in settings for word in ("--set", setting)]
    subprocess.run(local, cwd=ROOT, check=True, capture_output=True)
    return out


@contextmanager
def submitted(company, out, master, lake=None, drops=None):
    command = submit_command(master, lake or str(out / "lake"), drops or str(company / "drops"), *SETTINGS)
    refresh = Refresh(command, submit_environment(out))
    try:
        yield refresh
    finally:
        if refresh.process.poll() is None:
            refresh.kill()


def assert_ended(refresh):
    assert refresh.wait() == 0, refresh.log[-4000:]
    assert set(STAGES) <= refresh.ended


def assert_equal(lake, company):
    assert [name for name in COMPARED if rows_of(lake / name) != rows_of(company / "lake" / name)] == []


def test_an_executor_is_killed_in_every_stage(company, tmp_path):
    killed = {}
    with cluster(tmp_path, num_workers=3, memory="2g") as spark, submitted(company, tmp_path, spark.url) as refresh:
        for stage in STAGES:
            refresh.wait_for(stage=stage)
            for executor in executors(spark)[:1]:
                executor.kill()
                killed[stage] = executor.pid
        assert_ended(refresh)
    assert set(killed) == set(STAGES)
    assert_equal(tmp_path / "lake", company)


def test_the_driver_is_killed_and_a_worker_is_lost(company, tmp_path):
    with cluster(tmp_path, num_workers=3, memory="2g") as spark:
        for stage in ("clean", "featurise", "score"):
            with submitted(company, tmp_path, spark.url) as refresh:
                refresh.wait_for(stage=stage)
                refresh.kill()
            if stage == "clean":
                lost = spark.processes["worker0"]
                for process in [*psutil.Process(lost.pid).children(recursive=True), psutil.Process(lost.pid)]:
                    process.kill()
        with submitted(company, tmp_path, spark.url) as refresh:
            assert_ended(refresh)
    assert_equal(tmp_path / "lake", company)


def test_a_worker_is_lost_during_the_refresh(company, tmp_path):
    with cluster(tmp_path, num_workers=3, memory="2g") as spark, submitted(company, tmp_path, spark.url) as refresh:
        refresh.wait_for(stage="resolve")
        lost = spark.processes["worker1"]
        for process in [*psutil.Process(lost.pid).children(recursive=True), psutil.Process(lost.pid)]:
            process.kill()
        assert_ended(refresh)
    assert_equal(tmp_path / "lake", company)


def test_the_disk_of_one_worker_is_full(company, tmp_path):
    disk = tmp_path / "node2"
    with (
        small_disk(disk, megabytes=64),
        cluster(tmp_path, num_workers=3, memory="2g") as spark,
        submitted(company, tmp_path, spark.url) as refresh,
    ):
        refresh.wait_for(stage="clean")
        with filled_up(disk, but_kilobytes=0):
            assert_ended(refresh)
    assert_equal(tmp_path / "lake", company)


def test_hdfs_stalls_and_is_in_safe_mode(company, tmp_path):
    with hdfs(tmp_path) as files, cluster(tmp_path, num_workers=2, memory="2g") as spark:
        copy_to(files.url, company / "drops", submit_environment(tmp_path))
        where = {"lake": f"{files.url}/lake", "drops": f"{files.url}/drops"}
        with submitted(company, tmp_path, spark.url, **where) as refresh:
            refresh.wait_for(stage="clean")
            for name in ("namenode", "datanode"):
                files.processes[name].send_signal(signal.SIGSTOP)
                time.sleep(30)
                files.processes[name].send_signal(signal.SIGCONT)
            refresh.wait_for(stage="predict")
            safe_mode(tmp_path, "enter")
            assert refresh.wait() == 1
            error = [line for line in refresh.log.splitlines() if line.startswith("error: ")]
            assert len(error) == 1 and "safe mode" in error[0].lower() and "Traceback" not in refresh.log, refresh.log[
                -3000:
            ]
        safe_mode(tmp_path, "leave")
        with submitted(company, tmp_path, spark.url, **where) as refresh:
            assert_ended(refresh)
        copy_from(files.url, tmp_path / "from-hdfs", submit_environment(tmp_path))
    assert_equal(tmp_path / "from-hdfs", company)
