"""Choice of the inference engine by CPU flags, graphs of the model and settings."""

from pathlib import Path

import pytest

from crm_spark.core.errors import ConfigError
from crm_spark.models.registry import ONNX, ONNX_INT8, OPENVINO_INT8, OPENVINO_INT8_WEIGHTS, ModelVersion
from crm_spark.stages.score import backends
from crm_spark.stages.score.config import ScoreConfig

AVX2 = frozenset({"avx2"})
WITH_BF16 = frozenset({"avx2", "avx512f", "avx512_bf16"})
WITH_INT8 = frozenset({"avx2", "avx512f", "avx512_vnni"})
BOTH = (ONNX, ONNX_INT8)
ALL = (*BOTH, OPENVINO_INT8, OPENVINO_INT8_WEIGHTS)


def candidates(monkeypatch, *, flags=AVX2, graphs=BOTH, gpu=False, **settings):
    monkeypatch.setattr(backends, "cpu_flags", lambda: flags)
    monkeypatch.setattr(backends, "has_gpu", lambda: gpu)
    choices = backends.candidates(ModelVersion(Path("."), "v1", {}, graphs), ScoreConfig(**settings))
    return [(choice.engine, choice.precision) for choice in choices]


FP32 = [("onnx", "fp32"), ("openvino", "fp32")]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, FP32),
        ({"is_int8_allowed": True}, [("onnx", "int8"), *FP32]),
        ({"is_int8_allowed": True, "graphs": (ONNX,)}, FP32),
        ({"is_int8_allowed": True, "graphs": ALL}, [("onnx", "int8"), *FP32]),
        ({"is_int8_allowed": True, "graphs": ALL, "flags": WITH_INT8}, [("openvino", "int8"), ("onnx", "int8"), *FP32]),
        ({"is_int8_allowed": True, "flags": WITH_INT8}, [("onnx", "int8"), *FP32]),
        ({"graphs": ()}, [("torch", "fp32")]),
        ({"engine": "torch"}, [("torch", "fp32")]),
        ({"engine": "openvino"}, [("openvino", "fp32")]),
        ({"flags": WITH_BF16}, [*FP32, ("openvino", "bf16")]),
        ({"flags": WITH_BF16, "precision": "fp32"}, FP32),
        ({"flags": WITH_BF16, "precision": "bf16"}, [("openvino", "bf16")]),
        ({"flags": WITH_BF16, "precision": "bf16", "engine": "torch"}, [("torch", "bf16")]),
        ({"flags": WITH_BF16, "engine": "onnx"}, [("onnx", "fp32")]),
        ({"gpu": True}, [("torch", "bf16")]),
        ({"gpu": True, "precision": "fp32"}, [("torch", "fp32")]),
        ({"gpu": True, "engine": "onnx"}, [("onnx", "fp32")]),
    ],
)
def test_candidate_engines_and_precisions_are_listed(monkeypatch, given, expected):
    assert candidates(monkeypatch, **given) == expected


@pytest.mark.parametrize(("num_texts", "expected"), [(4_999, "onnx"), (5_000, "openvino")])
def test_many_texts_use_the_engine_that_is_faster_in_the_benchmark(monkeypatch, num_texts, expected):
    monkeypatch.setattr(backends, "cpu_flags", lambda: AVX2)
    monkeypatch.setattr(backends, "_benchmark", lambda _, __, choice: {"onnx": 0.2, "openvino": 0.1}[choice.engine])
    choice = backends.choose(ModelVersion(Path("."), "v1", {}, BOTH), ScoreConfig(), num_texts=num_texts)
    assert choice.engine == expected
    assert ("openvino fp32 160, onnx fp32 80" in str(choice)) == (expected == "openvino")


def test_bf16_without_hardware_is_rejected(monkeypatch):
    with pytest.raises(ConfigError, match="7 times slower"):
        candidates(monkeypatch, precision="bf16")


def test_engine_without_its_graph_is_rejected(monkeypatch):
    with pytest.raises(ConfigError, match=r"score\.engine: onnx: model v1 has no graph for this engine"):
        candidates(monkeypatch, engine="onnx", graphs=())
