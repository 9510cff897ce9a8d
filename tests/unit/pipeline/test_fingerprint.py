"""What makes a stage run again."""

from datetime import date
from types import SimpleNamespace

import pytest

from crm_spark.cli.app import run
from crm_spark.core.stage import Stage
from crm_spark.pipeline.fingerprint import fingerprint
from crm_spark.pipeline.stages import load_stage
from crm_spark.settings import CompanyConfig
from crm_spark.stages import STAGES
from crm_spark.stages.train.config import TrainConfig


def context(**changes):
    company = CompanyConfig(name=changes.pop("company", "A"))
    settings = SimpleNamespace(train=changes.pop("train", TrainConfig()), company=company)
    made = {"settings": settings, "code": "1", "seed": 1, "as_of": date(2025, 1, 31), "tables": None, **changes}
    return SimpleNamespace(**made)


KEPT = Stage("train", lambda ctx: None, reruns_on_new_date=False, reads_company=False)
DAILY = Stage("train", lambda ctx: None)


@pytest.mark.parametrize(
    ("change", "kept_reruns"),
    [
        ({"as_of": date(2025, 2, 1)}, False),
        ({"company": "B"}, False),
        ({"code": "2"}, True),
        ({"seed": 2}, True),
        ({"train": TrainConfig(num_epochs=9)}, True),
        ({"train": TrainConfig(launcher="spark")}, None),
    ],
)
def test_what_a_fingerprint_depends_on(change, kept_reruns):
    changed = context(**change)
    assert (fingerprint(KEPT, context()) != fingerprint(KEPT, changed)) is bool(kept_reruns)
    assert (fingerprint(DAILY, context()) != fingerprint(DAILY, changed)) is (kept_reruns is not None)


def test_the_text_model_is_not_trained_because_of_a_new_day():
    assert not load_stage("train").reruns_on_new_date and not load_stage("train").reads_company


def test_stages_that_retrain_runs():
    assert [name for name in STAGES if load_stage(name).fits_model] == [
        *("segment", "predict", "recommend", "shard", "train"),
    ]


def test_retrain_for_a_stage_without_a_model_is_an_error(tmp_path, capsys):
    assert run("clean", ["--retrain", "--lake", str(tmp_path)]) == 2
    assert "--retrain: clean fits no model" in capsys.readouterr().err
