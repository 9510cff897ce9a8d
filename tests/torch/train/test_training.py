"""Training with two gloo ranks: learning, determinism, resumption, promotion."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
from support.ranks import CONFIG, digest, is_running, train, wait_for_ranks
from support.tiny_bert import write_shards

from crm_spark.core.errors import CrmError
from crm_spark.models.registry import seal
from crm_spark.stages.train import stage
from crm_spark.stages.train.finalise import evaluate_production, split_of
from crm_spark.stages.train.hyperparameter_search import best_config
from crm_spark.stages.train.stage import better_baselines
from crm_spark.text.manifest import TEST, read_manifest


@pytest.fixture(scope="module")
def trained(shards, tmp_path_factory):
    out = tmp_path_factory.mktemp("trained")
    return out, train(shards, out)


def test_two_ranks_learn_a_simple_rule(trained):
    _, result = trained
    # 4 reader shards x 25 rows, 4 rows per shard and step: 7 steps per epoch, 6 epochs
    assert len(result["losses"]) == 42 and result["training"]["examples_seen"] == 42 * 16
    assert sum(result["losses"][-5:]) < 0.5 * sum(result["losses"][:5])
    assert result["test"]["bert"]["accuracy"] > 0.9 > 0.4 > result["test"]["class_prior"]["accuracy"]


def test_best_epoch_is_kept(trained):
    training = trained[1]["training"]
    bits = training["validation_bits"]
    assert len(bits) == 6 and training["best_epoch"] == bits.index(min(bits)) + 1


def sealed(trained, folder):
    shutil.copytree(trained[0] / "model", folder / "draft")
    return seal(folder / "draft", folder / "models")


def test_model_files_match_the_card(trained, tmp_path):
    model_version, result = sealed(trained, tmp_path), trained[1]
    assert model_version.card["test"] == result["test"] and model_version.card["max_length"] == 16


def test_slice_metrics_are_those_of_their_texts(trained):
    _, result = trained
    slices = result["test_slices"]
    assert sorted(slices) == ["language=en", "length=up to 32 tokens", "source=made_up"]
    assert slices["source=made_up"] == result["test"]["bert"]


def test_production_model_is_evaluated_on_the_same_texts(trained, shards, tmp_path):
    model_version, manifest = sealed(trained, tmp_path), read_manifest(shards)
    test = split_of(shards, manifest, TEST)
    current = evaluate_production(str(model_version.folder), manifest, test, CONFIG, torch.device("cpu"))["production"]
    ours = trained[1]["test"]["bert"]
    assert (current.confusion, current.num_rows) == (ours["confusion"], 96)
    assert abs(current.cross_entropy_bits - ours["cross_entropy_bits"]) < 1e-4
    assert evaluate_production(None, manifest, test, CONFIG, torch.device("cpu")) == {}


def test_model_worse_than_a_baseline_is_not_promoted():
    test = {
        name: {"cross_entropy_bits": bits} for name, bits in (("bert", 0.5), ("class_prior", 1.0), ("tfidf_lr", 0.4))
    }
    assert better_baselines(test, ("class_prior", "tfidf_lr", "production")) == ["tfidf_lr"]
    assert better_baselines({**test, "production": {"cross_entropy_bits": 0.5}}, ("class_prior", "production")) == []
    assert better_baselines({**test, "production": {"cross_entropy_bits": 0.49}}, ("production",)) == ["production"]


def resumed_from(checkpoint, shards, folder, *, num_ranks):
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / checkpoint.name).write_bytes(checkpoint.read_bytes())
    return train(shards, folder, num_ranks=num_ranks)


def test_resumed_run_ends_with_the_same_weights(trained, shards, tmp_path):
    out, result = trained
    checkpoints = sorted((out / "checkpoints").glob("step-*.pt"))
    # Step 40 is the fifth of seven steps of the sixth epoch; step 42 is the last.
    assert [path.name[:13] for path in checkpoints] == ["step-00000040", "step-00000042"]
    resumed = resumed_from(checkpoints[0], shards, tmp_path / "resumed", num_ranks=2)
    assert digest(tmp_path / "resumed") == digest(out) and resumed["losses"] == result["losses"]


@pytest.mark.slow
def test_run_resumes_with_another_number_of_ranks(trained, shards, tmp_path):
    """Three ranks for four reader shards: one rank reads two, all take the same steps."""
    checkpoints = sorted((trained[0] / "checkpoints").glob("step-*.pt"))
    resumed = resumed_from(checkpoints[0], shards, tmp_path, num_ranks=3)
    assert len(resumed["losses"]) == 42 and resumed["training"]["ranks"] == 3
    assert resumed["test"]["bert"]["accuracy"] > 0.9


def test_torn_checkpoint_is_ignored(trained):
    from crm_spark.stages.train.checkpoint import newest_valid

    folder = trained[0] / "checkpoints"
    newest = sorted(folder.glob("step-*.pt"))[-1]
    content = newest.read_bytes()
    newest.write_bytes(content[: len(content) // 2])
    try:
        assert len(newest_valid(folder)["losses"]) == 40
    finally:
        newest.write_bytes(content)
    assert len(newest_valid(folder)["losses"]) == 42


def test_killed_rank_ends_the_run_with_an_error_and_no_process(shards, tmp_path):
    failure = []

    def work():
        try:
            train(shards, tmp_path, num_epochs=50, timeout_seconds=20)
        except CrmError as error:
            failure.append(str(error))

    thread = threading.Thread(target=work)
    thread.start()
    ranks = wait_for_ranks(tmp_path, 2)
    # Wait for the first checkpoint at step 10.
    deadline = time.monotonic() + 90
    while not list((tmp_path / "checkpoints").glob("step-*.pt")) and time.monotonic() < deadline:
        time.sleep(0.05)
    os.kill(ranks[-1], signal.SIGKILL)
    thread.join(timeout=90)
    assert not thread.is_alive() and "a rank failed" in failure[0] and "resume" in failure[0]
    time.sleep(0.5)
    assert [pid for pid in ranks if is_running(pid)] == []


@pytest.mark.slow
def test_more_ranks_than_reader_shards_are_rejected_before_the_first_collective(tmp_path, encoder):
    folder = tmp_path / "shards"
    write_shards(folder, encoder, num_groups=1, group_rows=30, num_examples=30)
    started = time.monotonic()
    with pytest.raises(CrmError, match="a rank failed"):
        train(folder, tmp_path / "out", timeout_seconds=150)  # of a collective: one that was begun would last this long
    assert "2 ranks exceed the number of reader shards (1)" in (tmp_path / "out" / "train.log").read_text()
    assert time.monotonic() - started < 150


def test_training_does_not_import_spark():
    code = "import sys, crm_spark.stages.train.worker; sys.exit('pyspark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.slow
def test_search_uses_sampled_settings_and_the_validation_split_only(shards, tmp_path):
    space = {"learning_rate": [5e-3, 1e-6]}
    cfg = CONFIG.model_copy(update={"num_ranks": 1, "num_epochs": 2, "search_trials": 2, "search_space": space})
    spec = {"config": {}, "shards": str(shards), "seed": 3, "labels": [], "production": None, "teacher": None}
    best = best_config(cfg, tmp_path, stage._trial_runner(None, spec), seed=1)
    assert best.learning_rate == 5e-3  # the other rate is too small to learn
    for number in (0, 1):
        result = json.loads((tmp_path / f"trial-{number}" / "result.json").read_text())
        assert result.keys() == {"validation_bits"} and not (tmp_path / f"trial-{number}" / "model").exists()


def test_precision_is_resolved_once_for_all_restarts(tmp_path, monkeypatch):
    from crm_spark.text import model

    auto = CONFIG.model_copy(update={"precision": "auto"})
    monkeypatch.setattr(model, "has_fast_bf16", lambda: True)
    assert stage._with_fixed_precision(auto, tmp_path).precision == "bf16"
    (tmp_path / "spec.json").write_text(json.dumps({"config": {"precision": "fp32"}}))
    assert stage._with_fixed_precision(auto, tmp_path).precision == "fp32"  # as resolved at the start
