"""ONNX and int8 export."""

import numpy as np
import pytest
import torch

from crm_spark.models.registry import ONNX, ONNX_INT8, OPENVINO_INT8
from crm_spark.stages.train import onnx_export
from crm_spark.stages.train.onnx_export import export_graphs
from crm_spark.stages.train.readers import Rows
from crm_spark.text.model import pretrained
from crm_spark.text.onnx_backend import OnnxBackend
from crm_spark.text.openvino_backend import OpenVinoBackend

ENGINES = {
    "onnx": lambda graph: OnnxBackend(graph, threads=1, max_tokens=64),
    "openvino": lambda graph: OpenVinoBackend(graph, precision="fp32", threads=1, max_tokens=64),
}


@pytest.fixture(scope="module")
def sample():
    draw = np.random.default_rng(4)
    lengths = draw.integers(1, 16, 40).astype(np.int32)
    ids = draw.integers(1000, 3000, (40, 16)).astype(np.int32)
    return Rows(ids, lengths, np.zeros(40, np.int32), np.ones(40, np.float32))


def model_of(encoder, pooling):
    torch.manual_seed(6)
    model = pretrained(encoder, pooling=pooling).eval()
    torch.nn.init.normal_(model.head.weight, std=3.0)
    return model


@pytest.mark.parametrize("pooling", ["mean", "first"])
@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_graph_and_model_give_the_same_logits(encoder, sample, tmp_path, pooling, engine):
    model = model_of(encoder, pooling)
    assert export_graphs(model, sample, tmp_path)["onnx"] >= 0.9
    logits = ENGINES[engine](tmp_path / ONNX).logits(sample.input_ids, sample.num_tokens)
    with torch.inference_mode():
        expected = model(*model.collate(sample.input_ids, sample.num_tokens)).numpy()
    assert not model.training and np.abs(expected).max() > 1 and np.abs(logits - expected).max() < 1e-4


def test_export_is_deterministic(encoder, sample, tmp_path):
    contents = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        export_graphs(model_of(encoder, "mean"), sample, tmp_path / name)
        contents.append([(tmp_path / name / graph).read_bytes() for graph in (ONNX, ONNX_INT8)])
    assert contents[0] == contents[1]


def test_int8_graph_without_agreement_is_discarded(encoder, sample, tmp_path, monkeypatch):
    model = model_of(encoder, "mean")
    monkeypatch.setattr(onnx_export, "MIN_AGREEMENT", 1.01)
    assert export_graphs(model, sample, tmp_path, int8=("onnx", "openvino")).keys() == {"onnx", "openvino"}
    assert [path.name for path in tmp_path.iterdir()] == [ONNX]


def test_openvino_int8_logits_are_close_to_fp32(encoder, sample, tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_export, "MIN_AGREEMENT", 0.9)  # of 40 texts, by a model with random weights
    model = model_of(encoder, "first")
    assert export_graphs(model, sample, tmp_path, int8=("openvino",))["openvino"] >= 0.9
    lengths = sample.num_tokens.astype(np.int64)
    exact = ENGINES["onnx"](tmp_path / ONNX).logits(sample.input_ids, lengths)
    small = OpenVinoBackend(tmp_path / OPENVINO_INT8, precision="int8", threads=1, max_tokens=64)
    rest = small.logits(sample.input_ids, lengths) - exact
    assert 0 < np.abs(rest).mean() < 0.05 * np.abs(exact).mean()
