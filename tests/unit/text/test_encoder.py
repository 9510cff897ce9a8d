"""Embedded encoder, local folders and hub models."""

import pytest
from huggingface_hub import constants

from crm_spark.core.errors import ConfigError
from crm_spark.text.encoder import encoder_dir


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Hub cache with one model, offline."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    model = tmp_path / "models--some--bert"
    folder = model / "snapshots" / ("a" * 40)
    folder.mkdir(parents=True)
    (model / "refs").mkdir()
    (model / "refs" / "main").write_text("a" * 40)
    for name in ("config.json", "tokenizer.json"):
        (folder / name).write_text("{}")
    return folder


def test_hub_model_is_found_in_the_cache(cache):
    assert encoder_dir("some/bert") == cache


@pytest.mark.parametrize("name", ["bert-base-cased", "some/other"])
def test_unavailable_hub_model_is_rejected_with_advice(cache, name):
    with pytest.raises(ConfigError, match=rf"{name} is not a local folder.*set its folder"):
        encoder_dir(name)


@pytest.mark.parametrize("name", ["/no/such/folder", "../nowhere"])
def test_path_is_not_looked_up_on_the_hub(cache, name):
    with pytest.raises(ConfigError, match=r"no config\.json"):
        encoder_dir(name)


def test_folder_without_model_is_rejected(tmp_path):
    with pytest.raises(ConfigError, match=r"no config\.json and tokenizer\.json"):
        encoder_dir(str(tmp_path))


def test_embedded_encoder_is_installed():
    assert (encoder_dir("embedded") / "tokenizer.json").exists()
