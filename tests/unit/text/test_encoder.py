"""An encoder is the embedded one, a folder, or a model of the hub: from the cache, or with a sentence why not."""

import pytest
from huggingface_hub import constants

from crm_spark.core.errors import ConfigError
from crm_spark.text.encoder import encoder_dir


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """A hub's cache with one model, and no network."""
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


def test_a_model_of_the_hub_is_found_in_the_cache(cache):
    assert encoder_dir("some/bert") == cache


@pytest.mark.parametrize("name", ["bert-base-cased", "some/other"])
def test_a_model_that_is_not_to_be_had_is_said_with_what_to_do(cache, name):
    with pytest.raises(ConfigError, match=rf"{name} is no folder here.*give the folder"):
        encoder_dir(name)


@pytest.mark.parametrize("name", ["/no/such/folder", "../nowhere"])
def test_a_path_is_never_asked_of_the_hub(cache, name):
    with pytest.raises(ConfigError, match=r"holds no config\.json"):
        encoder_dir(name)


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no config\.json and tokenizer\.json"):
        encoder_dir(str(tmp_path))


def test_the_embedded_one_is_there():
    assert (encoder_dir("embedded") / "tokenizer.json").exists()
