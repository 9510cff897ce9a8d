"""Another model is put in use in one command; one that is altered or not there is not."""

import json

import pytest

from crm_spark.cli.models import main
from crm_spark.models.registry import CARD, FILES, current_version, models_dir, register, seal


@pytest.fixture
def lake(tmp_path):
    """A lake with two models, the second in use."""
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
    """Bits of the models, by the stage they are in."""
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if "macro-F1" in line]
    return {stage: bits for _, stage, bits, *_ in lines}


def test_model_dir_are_listed_with_how_good_they_are(lake, capsys):
    assert main(["--lake", str(lake)]) == 0
    assert versions(capsys) == {"archived": "0.500", "production": "0.400"}


def test_rollback_and_back_again(lake, capsys):
    newest = current_version(lake / "files")
    assert main(["--lake", str(lake), "--rollback"]) == 0
    assert versions(capsys) == {"production": "0.500", "archived": "0.400"}
    assert main(["--lake", str(lake), "--use", newest]) == 0
    assert (
        versions(capsys) == {"archived": "0.500", "production": "0.400"} and current_version(lake / "files") == newest
    )


def test_an_altered_model_is_not_put_in_use(lake):
    newest = current_version(lake / "files")
    (other,) = [f for f in models_dir(lake / "files").glob("*/") if f.name != newest]
    (other / FILES[0]).write_text("altered")
    assert main(["--lake", str(lake), "--rollback"]) == 1
    assert main(["--lake", str(lake), "--use", "nothing"]) == 2
    assert current_version(lake / "files") == newest
