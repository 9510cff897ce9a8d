"""A training of two gloo ranks on tiny shards, and the processes that it is."""

import hashlib
import json
import time

import psutil

from crm_spark.stages.train.config import TrainConfig
from crm_spark.stages.train.processes import launch

CONFIG = TrainConfig(
    num_epochs=6,
    batch_rows=16,
    learning_rate=5e-3,
    patience=6,
    head_learning_rate=1e-2,
    checkpoint_steps=10,
    precision="fp32",
)


def train(shards, out, *, num_ranks=2, teacher=None, max_restarts=0, max_seconds=180, **changes):
    """Trains and returns the result."""
    out.mkdir(parents=True, exist_ok=True)
    spec = {
        "config": {**CONFIG.model_dump(), **changes},
        "shards": str(shards),
        "out": str(out),
        "seed": 3,
        "labels": ["recommends", "does_not_recommend", "no_clear_opinion"],
        "production": None,
        "teacher": teacher,
    }
    (out / "spec.json").write_text(json.dumps(spec))
    launch(
        out / "spec.json",
        num_ranks=num_ranks,
        max_seconds=max_seconds,
        log=out / "train.log",
        max_restarts=max_restarts,
    )
    return json.loads((out / "result.json").read_text())


def digest(out):
    """Of the weights."""
    return hashlib.sha256((out / "model" / "model.safetensors").read_bytes()).hexdigest()


def processes_of(out, *, agents=False):
    """Ids of the training's ranks, or of its agents."""
    ids = []
    for process in psutil.process_iter(["cmdline", "status"]):
        command = " ".join(process.info["cmdline"] or [])
        is_agent = "crm_spark.stages.train.processes" in command
        if str(out) in command and "train.worker" in command and is_agent == agents:
            ids += [process.pid] * (process.info["status"] != psutil.STATUS_ZOMBIE)
    return sorted(ids)


def wait_for_ranks(out, count, *, seconds=90):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        ids = processes_of(out)
        if len(ids) == count:
            return ids
        time.sleep(0.1)
    raise AssertionError("the ranks did not start")


def is_running(pid):
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
