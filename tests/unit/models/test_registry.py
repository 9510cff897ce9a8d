"""Rollback and promotion of model versions on the command line."""

import json

import pytest

from crm_spark.cli.app import run
from crm_spark.models.registry import CARD, FILES, current_version, models_dir, register, seal


@pytest.fixture
def lake(tmp_path):
    """A lake with two models, the second in production."""
    registry_dir = models_dir(tmp_path / "files")
    for bits in (0.5, 0.4):
        draft = tmp_path / "draft"
        draft.mkdir()
        for name in FILES:
            (draft / name).write_text(f"{name} {bits}")
        test = {"bert": {"cross_entropy_bits": bits, "macro_f1": 0.7, "num_rows": 12}}
        card = {"test": test, "examples": {"train": {"recommends": 30, "does_not_recommend": 5}}}
        (draft / CARD).write_text(json.dumps(card))
        register(registry_dir, seal(draft, registry_dir).version, is_promoted=True)
    return tmp_path


def versions(capsys):
    """Cross-entropy of the models by registry stage."""
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "macro-F1" in line]
    return {stage: bits for _, stage, bits, *_ in lines}


def test_models_are_listed_with_stage_and_metrics(lake, capsys):
    assert run("models", ["--lake", str(lake)]) == 0
    assert versions(capsys) == {"archived": "0.500", "production": "0.400"}


def test_model_can_be_rolled_back_and_promoted(lake, capsys):
    newest = current_version(lake / "files")
    assert run("models", ["--lake", str(lake), "--rollback"]) == 0
    assert versions(capsys) == {"production": "0.500", "archived": "0.400"}
    assert run("models", ["--lake", str(lake), "--use", newest]) == 0
    assert (
        versions(capsys) == {"archived": "0.500", "production": "0.400"} and current_version(lake / "files") == newest
    )


def test_altered_or_unknown_model_is_not_promoted(lake):
    newest = current_version(lake / "files")
    (other,) = [f for f in models_dir(lake / "files").glob("*/") if f.name != newest]
    (other / FILES[0]).write_text("altered")
    assert run("models", ["--lake", str(lake), "--rollback"]) == 1
    assert run("models", ["--lake", str(lake), "--use", "nothing"]) == 2
    assert current_version(lake / "files") == newest
