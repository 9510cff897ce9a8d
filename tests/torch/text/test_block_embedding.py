"""Word embeddings in 4-bit blocks, and the multilingual encoder that has them."""

import json
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from transformers import BertConfig

from crm_spark.models.registry import CARD, ONNX, ONNX_INT8, TOKENIZER, seal
from crm_spark.stages.train.config import TrainConfig
from crm_spark.stages.train.onnx_export import export_graphs
from crm_spark.stages.train.optimiser import optimiser_of
from crm_spark.stages.train.readers import Rows
from crm_spark.text.attributions import Explainer
from crm_spark.text.block_embedding import BlockEmbedding, new_encoder
from crm_spark.text.cpu_layers import PADDED
from crm_spark.text.encoder import encoder_dir
from crm_spark.text.model import TextClassifier, load_model, pretrained, save_model
from crm_spark.text.onnx_backend import OnnxBackend
from crm_spark.text.tokenizer import TextTokenizer


@pytest.fixture(scope="module")
def multilingual():
    return pretrained(encoder_dir("multilingual")).eval()


@pytest.fixture
def small():
    """A classifier of two layers with 500 word pieces in blocks of 32."""
    torch.manual_seed(1)
    size = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128}
    encoder = new_encoder(BertConfig(vocab_size=500, pad_token_id=1, embedding_block_size=32, **size), attention=PADDED)
    table = encoder.get_input_embeddings()
    table.levels.data = torch.randint(-8, 8, (500, 64), dtype=torch.int8)
    table.scales.data = torch.rand(500, 2) * 0.02 + 0.01
    model = TextClassifier(encoder).eval()
    torch.nn.init.normal_(model.head.weight, std=3.0)
    return model


@pytest.fixture
def rows():
    draw = np.random.default_rng(1)
    ids, lengths = draw.integers(0, 500, (100, 16)), draw.integers(3, 17, 100)
    return Rows(ids.astype(np.int32), lengths.astype(np.int32), np.zeros(100, np.int32), np.ones(100, np.float32))


def logits_of(model, rows):
    with torch.inference_mode():
        return model(*model.collate(rows.input_ids, rows.num_tokens)).float()


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


def test_saved_model_keeps_the_blocks_and_gives_the_same_logits(small, rows, tmp_path):
    draft = tmp_path / "draft"
    draft.mkdir()
    save_model(small, draft)
    stored = load_file(str(draft / "model.safetensors"))
    assert stored["encoder.embeddings.word_embeddings.levels"].dtype == torch.int8
    assert "encoder.embeddings.word_embeddings.weight" not in stored
    (draft / TOKENIZER).write_text("{}")
    (draft / CARD).write_text(json.dumps({"pooling": "mean"}))
    loaded, expected = load_model(seal(draft, tmp_path / "models")), logits_of(small, rows)
    assert loaded.encoder.config.vocab_size == 500 and torch.equal(logits_of(loaded, rows), expected)
    loaded.use_packing()
    assert torch.allclose(logits_of(loaded, rows), expected, atol=1e-4)
    loaded.encoder.bfloat16()
    assert (logits_of(loaded, rows).argmax(1) == expected.argmax(1)).sum() >= 95


def test_graphs_keep_the_blocks_and_agree_with_the_model(small, rows, tmp_path):
    assert export_graphs(small, rows, tmp_path)["onnx"] >= 0.95
    exact = OnnxBackend(tmp_path / ONNX, threads=1, max_tokens=None)
    lengths = rows.num_tokens.astype(np.int64)
    assert np.abs(exact.logits(rows.input_ids, lengths) - logits_of(small, rows).numpy()).max() < 1e-4
    # 500 x 64 levels of a byte, and two layers of 33,472 weights of four bytes or one
    assert (tmp_path / ONNX).stat().st_size > 290_000
    assert not (tmp_path / ONNX_INT8).exists() or (tmp_path / ONNX_INT8).stat().st_size < 300_000


def test_optimiser_has_no_word_embeddings(small):
    optimiser, _ = optimiser_of(small, TrainConfig(), num_steps=10)
    sizes = [p.numel() for group in optimiser.param_groups for p in group["params"]]
    # two layers of 33,472; 512 positions, 2 token types and a norm of 2 x 64; a head of 3 x 64 + 3
    assert sum(sizes) == 66_944 + 32_768 + 128 + 128 + 195


def test_words_of_a_chinese_text_get_attributions(tmp_path):
    folder, draft = encoder_dir("multilingual"), tmp_path / "draft"
    draft.mkdir()
    model = pretrained(folder)
    model.keep_layers(1)
    torch.manual_seed(2)
    torch.nn.init.normal_(model.head.weight, std=3.0)
    save_model(model, draft)
    shutil.copyfile(folder / TOKENIZER, draft / TOKENIZER)
    (draft / CARD).write_text(json.dumps({"temperature": 1.0, "max_length": 32}))
    explanation = Explainer(seal(draft, tmp_path / "models")).explain("衣服质量很好 Thanks")
    assert [word.word for word in explanation.words] == ["衣服", "质量", "很好", "Thanks"]
    assert all(word.attribution != 0 for word in explanation.words)
    parts = explanation.hidden_logit + explanation.rest + sum(word.attribution for word in explanation.words)
    assert abs(parts - explanation.logit) < 1e-6
