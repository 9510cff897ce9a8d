"""The model as ONNX graphs: the same arithmetic for engines that run it faster on a processor than PyTorch does."""

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

LEAST_AGREEMENT = 0.99
"""Of texts to which int8 and fp32 give the same verdict; with less, int8 is not kept."""
_OPSET, _SAMPLE_ROWS, _CALIBRATION_TOKENS = 17, 1_000, 768


class PlainClassifier(nn.Module):
    """The classifier written as plain matrix products: tokens and mask (N, T) int64 -> logits (N, K).

    Where the head reads the first token's state only, the last layer is computed for that token only: the states of the
    others would be thrown away. The result is the same.
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
        """Logits (N, K)."""
        bias = (1.0 - mask[:, None, None, :].to(torch.float32)) * MASK_BIAS  # (N, 1, 1, T)
        states = self._embedded(tokens)  # (N, T, H)
        for layer in self.layers[:-1]:
            states = self._layer(layer, states, states, bias)
        asked = states[:, :1] if self.pooling == FIRST else states
        states = self._layer(self.layers[-1], asked, states, bias)
        if self.pooling == FIRST:
            pooled = states[:, 0]
        else:
            weights = mask.unsqueeze(-1).to(torch.float32)
            pooled = (states * weights).sum(1) / weights.sum(1)
        logits: Tensor = self.head(pooled)
        return logits

    def _embedded(self, tokens: Tensor) -> Tensor:
        parts = self.embeddings
        positions = parts.position_embeddings.weight[: tokens.shape[1]]
        summed = parts.word_embeddings(tokens) + positions + parts.token_type_embeddings.weight[0]
        normed: Tensor = parts.LayerNorm(summed)
        return normed

    def _layer(self, layer: Any, asked: Tensor, states: Tensor, bias: Tensor) -> Tensor:
        attention = layer.attention
        query = self._heads(attention.self.query(asked))  # (N, heads, S, D)
        key, value = self._heads(attention.self.key(states)), self._heads(attention.self.value(states))
        scores = query @ key.transpose(2, 3) / math.sqrt(query.shape[-1]) + bias
        mixed = (scores.softmax(-1) @ value).transpose(1, 2).flatten(2)  # (N, S, H)
        states = attention.output.LayerNorm(attention.output.dense(mixed) + asked)
        wide = layer.intermediate.intermediate_act_fn(layer.intermediate.dense(states))
        out: Tensor = layer.output.LayerNorm(layer.output.dense(wide) + states)
        return out

    def _heads(self, states: Tensor) -> Tensor:
        return states.unflatten(2, (self.num_heads, -1)).transpose(1, 2)


def export_graphs(
    model: TextClassifier, sample: Rows, folder: Path, *, int8: tuple[str, ...] = ("onnx",)
) -> dict[str, float]:
    """Writes the graph, and its int8 forms where they give the verdicts of fp32 to enough of the sample's texts.

    Agreement is a property of the weights, not of the method: it is measured for every model.

    Args:
        model: trained.
        sample: texts to measure agreement on, up to a thousand; OpenVINO's form takes its scales from them, too.
        folder: of the model.
        int8: the engines to write int8 for.

    Returns:
        For each engine the fraction of the sample's texts to which its int8 and fp32 give the same verdict; nothing
        where no graph can be written.
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
        said = load(threads).logits(texts.input_ids, lengths).argmax(1)
        agreement[engine] = float((said == exact).mean())
        if agreement[engine] < LEAST_AGREEMENT:
            for name in files:
                (folder / name).unlink()
    return agreement


def _onnx_int8(folder: Path, texts: Rows) -> tuple[tuple[str, ...], Callable[[int], Any]]:
    _quantise(folder / ONNX, folder / ONNX_INT8)
    return (ONNX_INT8,), lambda threads: OnnxBackend(folder / ONNX_INT8, threads=threads, max_tokens=None)


def _openvino_int8(folder: Path, texts: Rows) -> tuple[tuple[str, ...], Callable[[int], Any]]:
    """Scales of weights and activations from the sample's texts, outliers smoothed (Xiao et al. 2023, SmoothQuant)."""
    os.environ.setdefault("NNCF_CI", "1")  # it would report its use to its makers
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
    # The exporter leaves what it was given in the mode it found: the whole must be in that of inference.
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
    """Per channel to seven bits: with eight, sums of pairs can overflow on processors without VNNI (`reduce_range`)."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(path, target, weight_type=QuantType.QInt8, per_channel=True, reduce_range=True)
