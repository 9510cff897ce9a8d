"""Command line explanation of texts."""

import io
import json
import sys
from types import SimpleNamespace

import pytest
from support.tiny_bert import tiny_model_version

from crm_spark.cli.app import run
from crm_spark.models.registry import models_dir, register


@pytest.fixture(scope="module")
def lake(tmp_path_factory, encoder):
    """A lake with a production model and an archived one."""
    root = tmp_path_factory.mktemp("lake")
    used = tiny_model_version(root / "files", encoder)
    tiny_model_version(root / "other", encoder, decision=[1.0, 1000.0, 1.0])
    (other,) = (root / "other" / "models").glob("*/")
    other.rename(models_dir(root / "files") / other.name)
    register(models_dir(root / "files"), used.version, is_promoted=True)
    return SimpleNamespace(path=str(root), used=used.version, other=other.name)


@pytest.fixture
def explained(lake, capsys):
    def output_of(*arguments):
        assert run("explain", ["--lake", lake.path, *arguments]) == 0
        return capsys.readouterr().out

    return output_of


def test_words_are_listed_with_attribution_in_text_order(explained):
    lines = explained("--text", "The parcel came late").splitlines()
    assert lines[0].startswith("Predicted label: ")
    words = [line.split() for line in lines if line.startswith("  ")]
    assert [word[0] for word in words] == ["The", "parcel", "came", "late", "unexplained"]
    for word, share, *bar in words[:4]:
        assert set("".join(bar)) <= {share[0]}, word  # + supports the label, - opposes it
    assert max(len("".join(bar)) for _, _, *bar in words[:4]) == 24


def test_json_output_has_sum_and_model(explained, lake):
    explanation = json.loads(explained("--text", "The parcel came late", "--json"))
    assert explanation["model_version"] == lake.used and len(explanation["words"]) == explanation["num_words"] == 4
    total = sum(word["attribution"] for word in explanation["words"]) + explanation["rest"]
    assert total == pytest.approx(explanation["logit"] - explanation["hidden_logit"], abs=1e-9)
    assert sum(explanation["probabilities"].values()) == pytest.approx(1.0)


def test_file_is_read_by_line_and_standard_input_as_one_text(explained, tmp_path, monkeypatch):
    (tmp_path / "texts.txt").write_bytes(b"good shirt\n\n \nbad \xff shirt\n")
    explanations = [
        json.loads(line) for line in explained("--file", str(tmp_path / "texts.txt"), "--json").splitlines()
    ]
    # BERT drops control characters.
    assert [[word["word"] for word in one["words"]] for one in explanations] == [["good", "shirt"], ["bad", "shirt"]]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"good\nshirt\n")))
    assert [word["word"] for word in json.loads(explained("--json"))["words"]] == ["good", "shirt"]


def test_other_model_can_be_selected(explained, lake):
    output = explained("--text", "good", "--model", lake.other)
    assert output.startswith("Predicted label: does not recommend")
    assert "This is not the most probable label" in output
    assert "This is not the most probable label" not in explained("--text", "good")


def test_long_text_shows_the_strongest_words_and_a_sum_of_the_rest(tmp_path, encoder, capsys):
    used = tiny_model_version(tmp_path / "files", encoder, max_length=64)
    text = " ".join(["good"] * 50 + ["bad"] * 2000)
    assert run("explain", ["--lake", str(tmp_path), "--model", used.version, "--text", text]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "Only the first 62 of 2,050 words fit into the model." in lines
    assert len([line for line in lines if line.startswith(("  good", "  bad"))]) == 40
    assert any(line.startswith("  22 weaker words in total ") for line in lines)


def test_control_characters_are_escaped(explained):
    assert "\x1b" not in explained("--text", "red \x1b[31m shirt")


@pytest.mark.parametrize("text", ["", "  \n\t"])
def test_missing_text_is_reported(lake, capsys, text):
    assert run("explain", ["--lake", lake.path, "--text", text]) == 2
    assert "there is no text to explain." in capsys.readouterr().err


def test_missing_model_is_named(lake, tmp_path, capsys):
    assert run("explain", ["--lake", lake.path, "--model", "0123", "--text", "good"]) == 2
    assert "no model 0123." in capsys.readouterr().err
    assert run("explain", ["--lake", str(tmp_path), "--text", "good"]) == 2
    assert "no model is in production." in capsys.readouterr().err
    assert run("explain", ["--lake", lake.path, "--file", str(tmp_path / "none.txt")]) == 2
    assert "none.txt: cannot be read" in capsys.readouterr().err


def test_altered_model_is_rejected(tmp_path, encoder, capsys):
    used = tiny_model_version(tmp_path / "files", encoder)
    (used.folder / "card.json").write_text("{}")
    assert run("explain", ["--lake", str(tmp_path), "--model", used.version, "--text", "good"]) == 1
    assert "card.json is missing or altered" in capsys.readouterr().err
