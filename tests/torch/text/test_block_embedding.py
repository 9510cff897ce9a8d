"""Word embeddings in 4-bit blocks, and the multilingual encoder that has them."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from crm_spark.models.registry import CARD, TOKENIZER, seal
from crm_spark.text.block_embedding import BlockEmbedding
from crm_spark.text.encoder import encoder_dir
from crm_spark.text.model import load_model, pretrained, save_model
from crm_spark.text.tokenizer import TextTokenizer


@pytest.fixture(scope="module")
def multilingual():
    return pretrained(encoder_dir("multilingual")).eval()


def embedded(model, text):
    """Masked mean of the token states, of length 1."""
    (ids,), _ = TextTokenizer(encoder_dir("multilingual"), 64).rows([text])
    with torch.inference_mode():
        mean = model.encoder(input_ids=torch.tensor([ids])).last_hidden_state.mean(1)[0]
    return mean / mean.norm()


def test_value_is_its_level_times_the_scale_of_its_block():
    table = BlockEmbedding(2, 4, 2)
    table.levels.data = torch.tensor([[1, -8, 7, 0], [2, 2, -1, 3]], dtype=torch.int8)
    table.scales.data = torch.tensor([[0.5, 2.0], [10.0, 0.25]])
    assert table(torch.tensor([[1, 0]])).tolist() == [[[20.0, 20.0, -0.25, 0.75], [0.5, -4.0, 14.0, 0.0]]]


def test_word_embeddings_are_not_trained(multilingual):
    trainable = sum(p.numel() for p in multilingual.encoder.parameters() if p.requires_grad)
    # 12 layers of 1,774,464; 512 positions, 2 token types and a norm of 2 x 384; none of 250,002 word pieces
    assert trainable == 21_293_568 + 196_608 + 768 + 768


def test_layers_are_fp32_although_the_file_has_fp16(multilingual):
    weights = load_file(str(encoder_dir("multilingual") / "model.safetensors"))
    assert weights["encoder.layer.0.output.dense.weight"].dtype == torch.float16
    assert multilingual.layers[0].output.dense.weight.dtype == torch.float32


def test_translations_are_closer_than_other_texts(multilingual):
    german, chinese, other = (
        embedded(multilingual, text)
        for text in ("Die Lieferung kam viel zu spät.", "快递来得太晚了。", "Die Farbe des Kleides gefällt mir.")
    )
    assert float(german @ chinese) > float(german @ other) + 0.02


def test_saved_model_has_the_blocks_and_gives_the_same_logits(tmp_path, multilingual):
    draft = tmp_path / "draft"
    draft.mkdir()
    save_model(multilingual, draft)
    (draft / TOKENIZER).write_text("{}")
    (draft / CARD).write_text(json.dumps({"pooling": "mean"}))
    assert 180e6 < (draft / "model.safetensors").stat().st_size < 200e6
    loaded = load_model(seal(draft, tmp_path / "models"))
    ids, lengths = np.array([[0, 581, 1295, 2, 0], [0, 581, 1295, 83, 2]]), np.array([4, 5])
    with torch.inference_mode():
        before, after = (model(*model.collate(ids, lengths)) for model in (multilingual, loaded))
    assert torch.equal(before, after)
    packed = loaded
    packed.use_packing()
    with torch.inference_mode():
        assert torch.allclose(packed(*packed.collate(ids, lengths)), before, atol=1e-5)
    packed.encoder.bfloat16()
    with torch.inference_mode():
        assert torch.allclose(packed(*packed.collate(ids, lengths)).float(), before, atol=0.1)
