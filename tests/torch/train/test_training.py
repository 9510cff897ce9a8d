"""Two real gloo ranks through torchrun: they learn, twice the same, and go on from a checkpoint as if nothing had happened."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from support.tiny_bert import write_shards

from crm_spark.core.errors import CrmError
from crm_spark.stages.train.config import TrainConfig
from crm_spark.stages.train.processes import launch
from crm_spark.text.bundle import seal

CONFIG = TrainConfig(
    num_epochs=6, batch_rows=8, learning_rate=5e-3, head_learning_rate=1e-2, checkpoint_steps=10, precision="fp32"
)


def train(shards, out, *, num_ranks=2, **changes):
    out.mkdir(parents=True, exist_ok=True)
    spec = {
        "config": {**CONFIG.model_dump(), **changes},
        "shards": str(shards),
        "out": str(out),
        "seed": 3,
        "labels": ["recommends", "does_not_recommend", "no_clear_opinion"],
    }
    (out / "spec.json").write_text(json.dumps(spec))
    launch(out / "spec.json", num_ranks=num_ranks, max_seconds=180, log=out / "train.log")
    return json.loads((out / "result.json").read_text())


def digest(out):
    return hashlib.sha256((out / "bundle" / "model.safetensors").read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def trained(shards, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    return out, train(shards, out)


def test_two_ranks_learn_what_a_few_words_decide(trained):
    _, result = trained
    # 2 ranks x 50 rows in batches of 8: 7 steps an epoch, 6 epochs
    assert len(result["losses"]) == 42 and result["training"]["examples_seen"] == 42 * 8 * 2
    assert sum(result["losses"][-5:]) < 0.5 * sum(result["losses"][:5])
    assert result["test"]["bert"]["accuracy"] > 0.9 > 0.4 > result["test"]["majority"]["accuracy"]


def test_bundle_holds_what_the_card_says(trained, tmp_path):
    import shutil

    out, result = trained
    shutil.copytree(out / "bundle", tmp_path / "draft")
    bundle = seal(tmp_path / "draft", tmp_path / "bundles")
    assert bundle.card["test"] == result["test"] and bundle.card["max_length"] == 16


def test_a_resumed_run_ends_with_the_same_weights(trained, shards, tmp_path):
    out, _ = trained
    whole = digest(out)
    kept = sorted((out / "checkpoints").glob("step-*.pt"))
    assert [path.name[:13] for path in kept] == ["step-00000030", "step-00000040"]
    resumed = tmp_path / "resumed"
    (resumed / "checkpoints").mkdir(parents=True)
    (resumed / "checkpoints" / kept[0].name).write_bytes(kept[0].read_bytes())
    result = train(shards, resumed)
    assert digest(resumed) == whole and len(result["losses"]) == 42


def test_a_torn_checkpoint_is_passed_over_for_the_one_before(trained):
    from crm_spark.stages.train.checkpoint import newest_valid

    folder = trained[0] / "checkpoints"
    newest = sorted(folder.glob("step-*.pt"))[-1]
    content = newest.read_bytes()
    newest.write_bytes(content[: len(content) // 2])
    try:
        assert newest_valid(folder)["step"] == 30
    finally:
        newest.write_bytes(content)
    assert newest_valid(folder)["step"] == 40


def test_a_killed_rank_ends_the_run_with_a_sentence_and_leaves_no_process(shards, tmp_path):
    failure = []

    def work():
        try:
            train(shards, tmp_path, num_epochs=50, timeout_seconds=20)
        except CrmError as error:
            failure.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    ranks = wait_for_ranks(tmp_path, 2)
    # Deep in the loop: the first checkpoint of step 10 is there.
    deadline = time.monotonic() + 90
    while not list((tmp_path / "checkpoints").glob("step-*.pt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(ranks[-1], signal.SIGKILL)
    thread.join(timeout=90)
    assert not thread.is_alive() and "a rank failed" in failure[0] and "resume" in failure[0]
    time.sleep(0.5)
    assert [pid for pid in ranks if is_running(pid)] == []


def wait_for_ranks(out, count):
    import psutil

    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        found = [
            p.pid
            for p in psutil.process_iter(["cmdline"])
            if "crm_spark.stages.train.worker" in " ".join(p.info["cmdline"] or [])
            and str(out) in " ".join(p.info["cmdline"] or [])
            and "crm_spark.stages.train.processes" not in " ".join(p.info["cmdline"] or [])
        ]
        if len(found) == count:
            return sorted(found)
        time.sleep(0.1)
    raise AssertionError("the ranks did not start")


def is_running(pid):
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_row_groups_that_do_not_divide_are_refused_before_the_first_collective(tmp_path, encoder):
    folder = tmp_path / "shards"
    write_shards(folder, encoder, num_groups=3, group_rows=10, num_examples=30)
    started = time.monotonic()
    with pytest.raises(CrmError, match="a rank failed"):
        train(folder, tmp_path / "out")
    assert "3 row groups on 2 ranks give" in (tmp_path / "out" / "train.log").read_text()
    assert time.monotonic() - started < 60


def test_training_imports_no_spark():
    code = "import sys, crm_spark.stages.train.worker; sys.exit('pyspark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
