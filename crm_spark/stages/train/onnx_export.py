"""Export of the model as ONNX graph and as int8 graphs for ONNX Runtime and OpenVINO."""

import math
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from crm_spark.models.registry import ONNX, ONNX_INT8, OPENVINO_INT8, OPENVINO_INT8_WEIGHTS
from crm_spark.stages.train.readers import Rows
from crm_spark.text.batches import feeds
from crm_spark.text.cpu_layers import MASK_BIAS
from crm_spark.text.model import FIRST, TextClassifier
from crm_spark.text.onnx_backend import OnnxBackend
from crm_spark.text.openvino_backend import OpenVinoBackend

MIN_AGREEMENT = 0.99
"""Smallest fraction of texts with the same label in int8 and fp32; below it the int8 graph is discarded."""
_OPSET, _SAMPLE_ROWS, _CALIBRATION_TOKENS = 17, 1_000, 768


class PlainClassifier(nn.Module):
    """The classifier as plain matrix products: tokens and mask (N, T) int64 -> logits (N, K).

    With first-token pooling the last layer is computed for the first token only; the result is the same.
    """

    embeddings: Any
    layers: Any
    head: Any

    def __init__(self, model: TextClassifier):
        super().__init__()
        config = model.encoder.config
        self.embeddings, self.layers, self.head = model.encoder.embeddings, model.layers, model.head
        self.num_heads, self.pooling = config.num_attention_heads, model.pooling

    def forward(self, tokens: Tensor, mask: Tensor) -> Tensor:
        """Return logits (N, K)."""
        bias = (1.0 - mask[:, None, None, :].to(torch.float32)) * MASK_BIAS  # (N, 1, 1, T)
        states = self._embed(tokens)  # (N, T, H)
        for layer in self.layers[:-1]:
            states = self._layer(layer, states, states, bias)
        queried = states[:, :1] if self.pooling == FIRST else states
        states = self._layer(self.layers[-1], queried, states, bias)
        if self.pooling == FIRST:
            pooled = states[:, 0]
        else:
            weights = mask.unsqueeze(-1).to(torch.float32)
            pooled = (states * weights).sum(1) / weights.sum(1)
        logits: Tensor = self.head(pooled)
        return logits

    def _embed(self, tokens: Tensor) -> Tensor:
        parts = self.embeddings
        positions = parts.position_embeddings.weight[: tokens.shape[1]]
        summed = parts.word_embeddings(tokens) + positions + parts.token_type_embeddings.weight[0]
        normed: Tensor = parts.LayerNorm(summed)
        return normed

    def _layer(self, layer: Any, queried: Tensor, states: Tensor, bias: Tensor) -> Tensor:
        attention = layer.attention
        query = self._heads(attention.self.query(queried))  # (N, heads, S, D)
        key, value = self._heads(attention.self.key(states)), self._heads(attention.self.value(states))
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1]) + bias
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)  # (N, S, H)
        states = attention.output.LayerNorm(attention.output.dense(mixed) + queried)
        wide = layer.intermediate.intermediate_act_fn(layer.intermediate.dense(states))
        out: Tensor = layer.output.LayerNorm(layer.output.dense(wide) + states)
        return out

    def _heads(self, states: Tensor) -> Tensor:
        return states.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


def export_graphs(
    model: TextClassifier, sample: Rows, folder: Path, *, int8: tuple[str, ...] = ("onnx",)
) -> dict[str, float]:
    """Write the ONNX graph, and int8 graphs whose labels agree with fp32 on enough texts.

    Args:
        model: trained model.
        sample: texts for the comparison, up to 1,000; also used for OpenVINO calibration.
        folder: of the model.
        int8: engines to write int8 graphs for.

    Returns:
        Fraction of texts with the same label in int8 and fp32 for each engine; empty if the model cannot be exported.
    """
    if model.encoder.config.model_type != "bert":
        return {}
    _export(model, folder / ONNX)
    texts = sample.take(np.arange(min(len(sample), _SAMPLE_ROWS)))
    lengths, threads = texts.num_tokens.astype(np.int64), os.cpu_count() or 1
    exact = OnnxBackend(folder / ONNX, threads=threads, max_tokens=None).logits(texts.input_ids, lengths).argmax(1)
    agreement = {}
    for engine in int8:
        files, load = _INT8[engine](folder, texts)
        predicted = load(threads).logits(texts.input_ids, lengths).argmax(1)
        agreement[engine] = float((predicted == exact).mean())
        if agreement[engine] < MIN_AGREEMENT:
            for name in files:
                (folder / name).unlink()
    return agreement


def _onnx_int8(folder: Path, texts: Rows) -> tuple[tuple[str, ...], Callable[[int], Any]]:
    _quantise(folder / ONNX, folder / ONNX_INT8)
    return (ONNX_INT8,), lambda threads: OnnxBackend(folder / ONNX_INT8, threads=threads, max_tokens=None)


def _openvino_int8(folder: Path, texts: Rows) -> tuple[tuple[str, ...], Callable[[int], Any]]:
    """Quantise with activation scales from the sample and SmoothQuant (Xiao et al. 2023)."""
    os.environ.setdefault("NNCF_CI", "1")  # no usage reports
    import nncf
    import openvino

    batches = feeds(texts.input_ids, texts.num_tokens.astype(np.int64), max_tokens=_CALIBRATION_TOKENS)
    nncf.set_log_level("ERROR")
    quantised = nncf.quantize(
        openvino.Core().read_model(str(folder / ONNX)),
        nncf.Dataset([feed for _, feed in batches]),
        model_type=nncf.ModelType.TRANSFORMER,
        preset=nncf.QuantizationPreset.MIXED,
    )
    openvino.save_model(quantised, str(folder / OPENVINO_INT8))
    return (OPENVINO_INT8, OPENVINO_INT8_WEIGHTS), lambda threads: OpenVinoBackend(
        folder / OPENVINO_INT8, precision="int8", threads=threads, max_tokens=None
    )


_INT8 = {"onnx": _onnx_int8, "openvino": _openvino_int8}


def _export(model: TextClassifier, path: Path) -> None:
    tokens = torch.ones(2, 8, dtype=torch.int64)
    axes = {"tokens": {0: "texts", 1: "length"}, "mask": {0: "texts", 1: "length"}, "logits": {0: "texts"}}
    # The exporter does not change the mode of the module: set evaluation mode.
    plain = PlainClassifier(model.cpu()).eval()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            plain,
            (tokens, tokens),
            str(path),
            input_names=["tokens", "mask"],
            output_names=["logits"],
            dynamic_axes=axes,
            opset_version=_OPSET,
            dynamo=False,
        )


def _quantise(path: Path, target: Path) -> None:
    """Quantise per channel to 7 bits: 8 bits can overflow on CPUs without VNNI (`reduce_range`)."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    initializers = onnx.load(str(path), load_external_data=False).graph.initializer
    has_blocks = any(tensor.data_type == onnx.TensorProto.INT8 for tensor in initializers)
    # Word embeddings in blocks have 4 bits already; quantising their scales would only lose accuracy.
    operators = ["MatMul", "Gemm"] if has_blocks else None
    quantize_dynamic(
        path,
        target,
        op_types_to_quantize=operators,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
    )
