"""A search tries different settings, takes the best on the validation split, keeps its budget and goes on after a kill."""

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


def test_each_trial_is_another_and_the_first_changes_nothing():
    tried = sample_settings(CONFIG, seed=4)
    assert tried[0] == {} and len(tried) == 6
    # The given settings are no draw: rate 1e-4, 3 epochs.
    assert {"learning_rate": 1e-4, "num_epochs": 3} not in tried
    assert len({json.dumps(changes, sort_keys=True) for changes in tried}) == 6
    assert sample_settings(CONFIG, seed=4) == tried != sample_settings(CONFIG, seed=5)


def test_no_more_trials_than_there_are_settings():
    assert len(sample_settings(CONFIG.model_copy(update={"search_trials": 50}), seed=1)) == 9


def test_the_best_is_taken(tmp_path):
    done = []
    best = best_config(CONFIG, tmp_path, trainer(done), seed=4)
    assert len(done) == 6 and bits_of(best) == min(bits_of(cfg) for cfg in done)


def test_a_search_goes_on_where_it_was_ended(tmp_path):
    done, again = [], []
    best = best_config(CONFIG, tmp_path, trainer(done), seed=4)
    for number in (4, 5):
        (tmp_path / f"trial-{number}" / "result.json").unlink()
    assert best_config(CONFIG, tmp_path, trainer(again), seed=4) == best
    assert again == done[4:]


def test_no_trial_begins_after_the_budget(tmp_path):
    done = []
    cfg = CONFIG.model_copy(update={"search_seconds": 2})
    best_config(cfg, tmp_path, trainer(done, seconds=1.1), seed=4)
    assert len(done) == 1


@pytest.mark.parametrize(
    "space", [{"learning_rat": [1.0]}, {"search_trials": [3]}, {"dropout": []}, {"dropout": [1.5]}]
)
def test_a_space_of_what_is_no_setting_is_refused(space):
    with pytest.raises(ValidationError, match=r"search_space|less than 1"):
        TrainConfig(search_space=space)
