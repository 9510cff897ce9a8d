"""Train job under torchrun, with two agents, and as Spark tasks."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import psutil
import pytest
from support.jobs import run
from support.ranks import is_running
from support.refreshed import ROOT

from crm_spark.core.hashing import sha256_of
from crm_spark.stages.train.processes import end_with_parent

SHORT = {
    "train.num_epochs": 2,
    "train.batch_rows": 16,
    "train.checkpoint_steps": 2,
    "train.precision": "fp32",
    "train.head_learning_rate": 1e-2,
    "train.baselines": "[class_prior]",
    "session.shuffle_partitions": 2,
}


@pytest.fixture
def lake(shards, tmp_path):
    """A lake with the tiny shard set only."""
    folder = tmp_path / "lake" / "files" / "shards"
    shutil.copytree(shards, folder / "tiny")
    (folder / "current").write_text("tiny")
    return tmp_path / "lake"


def arguments(lake, **changes):
    settings = {**SHORT, **changes}
    pairs = [word for name, value in settings.items() for word in ("--set", f"{name}={value}")]
    return ["--conf", "conf/local.yaml", "--lake", str(lake), "--as-of", "2025-01-31", *pairs]


def torchrun(lake, *options, job="train", cores=None, **changes):
    """Start a job under torchrun in its own process group, which ends with the tests."""

    def begin():
        end_with_parent()
        os.sched_setaffinity(0, cores or os.sched_getaffinity(0))

    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-m", "torch.distributed.run", *options, f"jobs/{job}.py", *arguments(lake, **changes)]
    return subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=begin,
    )


def weights(lake):
    """Digests of the weights of the models in the lake."""
    paths = sorted((lake / "files" / "models").glob("*/model.safetensors"))
    return [sha256_of(path.read_bytes().hex()) for path in paths]


def wait_until_gone(ids, *, seconds=30):
    deadline = time.monotonic() + seconds
    while any(is_running(pid) for pid in ids) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert [pid for pid in ids if is_running(pid)] == []


@pytest.fixture(scope="module")
def by_stage(shards, tmp_path_factory):
    """Weights of a training whose ranks are started by the stage."""
    lake = tmp_path_factory.mktemp("by_stage")
    folder = lake / "files" / "shards"
    shutil.copytree(shards, folder / "tiny")
    (folder / "current").write_text("tiny")
    code, output = run("train", *arguments(lake))
    assert code == 0, output
    (digest,) = weights(lake)
    return digest


def test_job_under_torchrun_trains_with_all_ranks(lake, by_stage):
    process = torchrun(lake, "--standalone", "--nproc-per-node=2")
    output = process.communicate(timeout=280)[0]
    assert process.returncode == 0, output
    assert weights(lake) == [by_stage]
    again = torchrun(lake, "--standalone", "--nproc-per-node=2")
    output = again.communicate(timeout=280)[0]
    assert again.returncode == 0 and "up to date" in output, output


@pytest.mark.slow
def test_two_agents_train_together(lake, by_stage):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = ["--nnodes=2", "--nproc-per-node=1", "--rdzv-backend=c10d", f"--rdzv-endpoint=127.0.0.1:{port}"]
    cores = sorted(os.sched_getaffinity(0))
    halves = [
        cores[: len(cores) // 2] or cores,
        cores[len(cores) // 2 :],
    ]  # the same number of threads per rank as on one machine
    agents = [torchrun(lake, *meeting, "--rdzv-id=7", cores=half) for half in halves]
    output = [agent.communicate(timeout=280)[0] for agent in agents]
    assert [agent.returncode for agent in agents] == [0, 0], output
    assert weights(lake) == [by_stage]


@pytest.mark.slow
def test_killed_agent_leaves_no_rank_and_training_resumes(lake, by_stage):
    long = {"train.num_epochs": 40, "train.patience": 40}
    process = torchrun(lake, "--standalone", "--nproc-per-node=2", **long)
    folder, deadline = lake / "files" / "training", time.monotonic() + 240
    while not list(folder.glob("*/checkpoints/step-*.pt")):
        assert process.poll() is None and time.monotonic() < deadline, process.communicate()[0]
        time.sleep(0.05)
    ranks_and_jvm = [child.pid for child in psutil.Process(process.pid).children(recursive=True)]
    assert len(ranks_and_jvm) >= 3
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    wait_until_gone(ranks_and_jvm)
    again = torchrun(lake, "--standalone", "--nproc-per-node=2", **long)
    output = again.communicate(timeout=280)[0]
    assert again.returncode == 0, output
    assert "resumed" in output, output


@pytest.mark.slow
def test_invalid_training_ends_all_ranks(lake):
    process = torchrun(lake, "--standalone", "--nproc-per-node=2", **{"train.frozen_layers": 7})
    output = process.communicate(timeout=280)[0]
    assert process.returncode != 0 and "the encoder has 2 layers" in output


@pytest.mark.slow
def test_ranks_run_as_spark_tasks(lake, by_stage):
    code, output = run("train", *arguments(lake, **{"train.launcher": "spark"}))
    assert code == 0, output
    assert weights(lake) == [by_stage]


@pytest.mark.slow
def test_task_failure_is_reported(lake):
    code, output = run("train", *arguments(lake, **{"train.launcher": "spark", "train.frozen_layers": 7}))
    assert code != 0 and "the encoder has 2 layers" in output


def test_refresh_is_rejected_under_torchrun(tmp_path):
    process = torchrun(tmp_path / "lake", "--standalone", "--nproc-per-node=2", job="refresh")
    output = process.communicate(timeout=280)[0]
    assert process.returncode != 0 and "torchrun must start jobs/train.py; a refresh starts its own ranks" in output
    assert not (tmp_path / "lake").exists()
