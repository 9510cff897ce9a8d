"""The engine follows from the processor's flags, the bundle's graphs and what is allowed; what is not there is refused."""

from pathlib import Path

import pytest

from crm_spark.core.errors import ConfigError
from crm_spark.stages.score import backends
from crm_spark.stages.score.config import ScoreConfig
from crm_spark.text.bundle import ONNX, ONNX_INT8, Bundle

AVX2 = frozenset({"avx2"})
WITH_BF16 = frozenset({"avx2", "avx512f", "avx512_bf16"})
BOTH = (ONNX, ONNX_INT8)


def chosen(monkeypatch, *, flags=AVX2, graphs=BOTH, gpu=False, **settings):
    monkeypatch.setattr(backends, "cpu_flags", lambda: flags)
    monkeypatch.setattr(backends, "has_gpu", lambda: gpu)
    choice = backends.choose(Bundle(Path("."), "v1", {}, graphs), ScoreConfig(**settings))
    return choice.engine, choice.precision


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, ("onnx", "fp32")),
        ({"is_int8_allowed": True}, ("onnx", "int8")),
        ({"is_int8_allowed": True, "graphs": (ONNX,)}, ("onnx", "fp32")),
        ({"graphs": ()}, ("torch", "fp32")),
        ({"engine": "torch"}, ("torch", "fp32")),
        ({"flags": WITH_BF16}, ("torch", "bf16")),
        ({"flags": WITH_BF16, "precision": "fp32"}, ("onnx", "fp32")),
        ({"flags": WITH_BF16, "engine": "onnx"}, ("onnx", "fp32")),
        ({"flags": WITH_BF16, "is_int8_allowed": True}, ("onnx", "int8")),
        ({"gpu": True}, ("torch", "bf16")),
        ({"gpu": True, "precision": "fp32"}, ("torch", "fp32")),
        ({"gpu": True, "engine": "onnx"}, ("onnx", "fp32")),
    ],
)
def test_engine_and_precision(monkeypatch, given, expected):
    assert chosen(monkeypatch, **given) == expected


def test_bf16_without_hardware_is_refused(monkeypatch):
    with pytest.raises(ConfigError, match="7 times slower"):
        chosen(monkeypatch, precision="bf16")


def test_an_engine_without_its_graph_is_refused(monkeypatch):
    with pytest.raises(ConfigError, match=r"score\.engine: onnx: bundle v1 holds no ONNX graph"):
        chosen(monkeypatch, engine="onnx", graphs=())
