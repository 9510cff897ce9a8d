"""The model, its file form, and what a scorer says of texts of every kind."""

import json

import numpy as np
import pytest
import torch

from crm_spark.core.errors import BundleError
from crm_spark.stages.score.scorer import Scorer
from crm_spark.text.bundle import CARD, TOKENIZER, seal
from crm_spark.text.model import load_model, pretrained, save_model

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
def bundle(tmp_path_factory, encoder):
    root = tmp_path_factory.mktemp("bundles")
    draft = root / "draft"
    draft.mkdir()
    torch.manual_seed(1)
    save_model(pretrained(encoder), draft)
    (draft / TOKENIZER).write_bytes((encoder / TOKENIZER).read_bytes())
    (draft / CARD).write_text(json.dumps({"temperature": 2.0, "max_length": 32}))
    return seal(draft, root)


def test_a_loaded_model_says_what_the_saved_one_said(bundle):
    tokens = torch.tensor([[101, 2023, 2003, 102]])
    first, second = load_model(bundle), load_model(bundle)
    with torch.inference_mode():
        assert torch.equal(first(tokens, torch.ones_like(tokens)), second(tokens, torch.ones_like(tokens)))


def test_padding_does_not_change_what_is_said(bundle):
    model = load_model(bundle)
    tokens = torch.tensor([[101, 2023, 2003, 102]])
    padded, mask = torch.tensor([[101, 2023, 2003, 102, 0, 0]]), torch.tensor([[1, 1, 1, 1, 0, 0]])
    with torch.inference_mode():
        alone, among = model(tokens, torch.ones_like(tokens)), model(padded, mask)
    assert torch.allclose(alone, among, atol=1e-5)


def test_every_text_gets_a_row_that_sums_to_one(bundle):
    found = Scorer(bundle.folder, threads=1, max_tokens=64).probabilities(STRANGE)
    assert found.shape == (10, 3) and np.allclose(found.sum(1), 1.0) and np.isfinite(found).all()


def test_neighbours_do_not_change_what_is_said_of_a_text(bundle):
    scorer = Scorer(bundle.folder, threads=1, max_tokens=256)
    together = scorer.probabilities(STRANGE)
    alone = np.vstack([scorer.probabilities([text]) for text in STRANGE])
    assert np.abs(together - alone).max() < 1e-5


def test_a_flipped_bit_in_the_weights_is_refused(bundle):
    path = bundle.folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    original = path.read_bytes()
    path.write_bytes(content)
    try:
        with pytest.raises(BundleError, match=r"model\.safetensors is missing or altered"):
            Scorer(bundle.folder, threads=1, max_tokens=64)
    finally:
        path.write_bytes(original)
