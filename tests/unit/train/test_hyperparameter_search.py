"""Random hyperparameter search: distinct trials, best validation loss, budget, resumption."""

import json
import time

import pytest
from pydantic import ValidationError

from crm_spark.stages.train.config import TrainConfig
from crm_spark.stages.train.hyperparameter_search import best_config, sample_settings

CONFIG = TrainConfig(search_trials=6, search_space={"learning_rate": [1e-5, 1e-4, 1e-3], "num_epochs": [2, 3, 4]})


def bits_of(cfg):
    return abs(cfg.learning_rate - 1e-3) * 1000 + abs(cfg.num_epochs - 4)


def trainer(done, seconds=0.0):
    def run(cfg, folder, _):
        time.sleep(seconds)
        done.append(cfg)
        (folder / "result.json").write_text(json.dumps({"validation_bits": bits_of(cfg)}))

    return run


def test_trials_are_distinct_and_the_first_uses_the_given_settings():
    trials = sample_settings(CONFIG, seed=4)
    assert trials[0] == {} and len(trials) == 6
    # The given settings (rate 1e-4, 3 epochs) are not sampled.
    assert {"learning_rate": 1e-4, "num_epochs": 3} not in trials
    assert len({json.dumps(changes, sort_keys=True) for changes in trials}) == 6
    assert sample_settings(CONFIG, seed=4) == trials != sample_settings(CONFIG, seed=5)


def test_number_of_trials_is_limited_by_the_search_space():
    assert len(sample_settings(CONFIG.model_copy(update={"search_trials": 50}), seed=1)) == 9


def test_settings_with_the_lowest_loss_are_returned(tmp_path):
    done = []
    best = best_config(CONFIG, tmp_path, trainer(done), seed=4)
    assert len(done) == 6 and bits_of(best) == min(bits_of(cfg) for cfg in done)


def test_search_resumes_after_completed_trials(tmp_path):
    done, repeated = [], []
    best = best_config(CONFIG, tmp_path, trainer(done), seed=4)
    for number in (4, 5):
        (tmp_path / f"trial-{number}" / "result.json").unlink()
    assert best_config(CONFIG, tmp_path, trainer(repeated), seed=4) == best
    assert repeated == done[4:]


def test_no_trial_starts_after_the_budget(tmp_path):
    done = []
    cfg = CONFIG.model_copy(update={"search_seconds": 2})
    best_config(cfg, tmp_path, trainer(done, seconds=1.1), seed=4)
    assert len(done) == 1


@pytest.mark.parametrize(
    "space", [{"learning_rat": [1.0]}, {"search_trials": [3]}, {"dropout": []}, {"dropout": [1.5]}]
)
def test_invalid_search_space_is_rejected(space):
    with pytest.raises(ValidationError, match=r"search_space|less than 1"):
        TrainConfig(search_space=space)
