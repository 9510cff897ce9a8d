"""Text classifier, model files and scorer."""

import json

import numpy as np
import pytest
import torch

from crm_spark.core.errors import ArtifactError, ConfigError
from crm_spark.models.registry import CARD, TOKENIZER, seal
from crm_spark.stages.score.config import ScoreConfig
from crm_spark.stages.score.scorer import Scorer
from crm_spark.text import model as model_module
from crm_spark.text.model import load_model, pretrained, save_model, uses_bf16

SMALL = ScoreConfig(max_tokens=512)
STRANGE = [
    "",
    " ",
    "plain words",
    "word " * 10_000,
    "👩‍👩‍👧 😀🏽",
    "ممتاز جدا",
    "非常好的商品",
    "e\u0301 and \u00e9",
    "\ud800 alone",
    "a\x00b",
]


@pytest.fixture(scope="module")
def model_version(tmp_path_factory, encoder):
    root = tmp_path_factory.mktemp("models")
    draft = root / "draft"
    draft.mkdir()
    torch.manual_seed(1)
    save_model(pretrained(encoder), draft)
    (draft / TOKENIZER).write_bytes((encoder / TOKENIZER).read_bytes())
    (draft / CARD).write_text(json.dumps({"temperature": 2.0, "max_length": 32}))
    return seal(draft, root)


def test_loaded_model_gives_the_same_logits(model_version):
    tokens = torch.tensor([[101, 2023, 2003, 102]])
    first, second = load_model(model_version), load_model(model_version)
    with torch.inference_mode():
        assert torch.equal(first(tokens, torch.ones_like(tokens)), second(tokens, torch.ones_like(tokens)))


def test_padding_does_not_change_logits(model_version):
    model = load_model(model_version)
    tokens = torch.tensor([[101, 2023, 2003, 102]])
    padded, mask = torch.tensor([[101, 2023, 2003, 102, 0, 0]]), torch.tensor([[1, 1, 1, 1, 0, 0]])
    with torch.inference_mode():
        alone, among = model(tokens, torch.ones_like(tokens)), model(padded, mask)
    assert torch.allclose(alone, among, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "first"])
def test_packed_and_padded_batches_give_the_same_logits(encoder, pooling):
    torch.manual_seed(2)
    model = pretrained(encoder, pooling=pooling).eval()
    ids, lengths = np.random.default_rng(1).integers(1000, 2000, (5, 12)), np.array([12, 1, 7, 7, 3])
    padded = model(*model.collate(ids, lengths))
    model.use_packing()
    tokens, mask, packing = model.collate(ids, lengths)
    assert tokens.shape == (1, 30) and mask is None and packing.offsets.tolist() == [0, 12, 13, 20, 27, 30]
    assert torch.allclose(model(tokens, mask, packing), padded, atol=1e-6)


def test_bf16_without_hardware_is_rejected(monkeypatch):
    monkeypatch.setattr(model_module, "cpu_flags", lambda: frozenset({"avx2"}))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="7 to 12 times slower"):
        uses_bf16("bf16")
    assert not model_module.has_fast_bf16.__wrapped__() and not uses_bf16("fp32")


@pytest.mark.parametrize(
    ("seconds", "is_fast"), [({"bfloat16": 1, "float32": 2}, True), ({"bfloat16": 3, "float32": 2}, False)]
)
def test_bf16_is_used_if_supported_and_faster(monkeypatch, seconds, is_fast):
    monkeypatch.setattr(model_module, "cpu_flags", lambda: frozenset({"avx512_bf16"}))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(model_module, "_seconds_of_product", lambda dtype: seconds[str(dtype).removeprefix("torch.")])
    assert model_module.has_fast_bf16.__wrapped__() == is_fast
    assert uses_bf16("bf16")  # explicit settings are respected


def test_probabilities_sum_to_one(model_version):
    probabilities = Scorer(model_version.folder, SMALL).probabilities(STRANGE)
    assert (
        probabilities.shape == (10, 3) and np.allclose(probabilities.sum(1), 1.0) and np.isfinite(probabilities).all()
    )


def test_probabilities_are_independent_of_the_batch(model_version):
    scorer = Scorer(model_version.folder, SMALL)
    together = scorer.probabilities(STRANGE)
    alone = np.vstack([scorer.probabilities([text]) for text in STRANGE])
    assert np.abs(together - alone).max() < 1e-5


def test_flipped_bit_in_the_weights_is_rejected(model_version):
    path = model_version.folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    original = path.read_bytes()
    path.write_bytes(content)
    try:
        with pytest.raises(ArtifactError, match=r"model\.safetensors is missing or altered"):
            Scorer(model_version.folder, SMALL)
    finally:
        path.write_bytes(original)
