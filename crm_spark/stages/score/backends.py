"""Inference backends behind one interface, and the choice of the backend for this machine."""

import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crm_spark.core.errors import ConfigError
from crm_spark.models.registry import ONNX, ONNX_INT8, OPENVINO_INT8, ModelVersion
from crm_spark.stages.score.config import ScoreConfig
from crm_spark.stages.score.devices import exclusive_gpu, gpu_of_task
from crm_spark.text.batches import token_batches
from crm_spark.text.hardware import BF16, INT8, cpu_flags, flag_summary, has_gpu
from crm_spark.text.labels import LABELS
from crm_spark.text.onnx_backend import OnnxBackend
from crm_spark.text.openvino_backend import OpenVinoBackend

_CPU_TOKENS, _GPU_TOKENS = 4_096, 131_072
_TRIAL_TEXTS, _TRIAL_TOKENS, _TRIAL_ROUNDS = 16, 64, 6
_GRAPHS = {
    ("onnx", "fp32"): ONNX,
    ("onnx", "int8"): ONNX_INT8,
    ("openvino", "fp32"): ONNX,
    ("openvino", "bf16"): ONNX,
    ("openvino", "int8"): OPENVINO_INT8,
}
"""Model file of each engine and precision."""


@dataclass(frozen=True)
class Choice:
    """Engine and precision, and the reason for them."""

    engine: str
    precision: str
    reason: str

    def __str__(self) -> str:
        return f"{self.engine} {self.precision} ({self.reason})"


class Backend(Protocol):
    """A loaded model."""

    def logits(self, ids: NDArray[np.int32], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return logits (N, K) of token ids (N, L) with `lengths` (N,), in input order."""


def candidates(model_version: ModelVersion, cfg: ScoreConfig) -> list[Choice]:
    """Return the engines usable with this model on this machine; the first is the default without a benchmark.

    Raises:
        ConfigError: the configured engine has no graph in the model, or the CPU has no bf16 instructions.
    """
    if cfg.engine in ("auto", "torch") and has_gpu():
        return [Choice("torch", "fp32" if cfg.precision == "fp32" else "bf16", "GPU available")]
    has_bf16 = bool(BF16 & cpu_flags())
    if cfg.precision == "bf16" and not has_bf16:
        raise ConfigError(
            f"score.precision: bf16: the CPU has no bf16 instructions ({flag_summary()}); bf16 would be 7 times slower than "
            "fp32. Set auto or fp32."
        )
    pairs = [("onnx", "fp32"), ("openvino", "fp32")]
    if cfg.precision != "fp32" and has_bf16:
        pairs.append(("openvino", "bf16"))
    if cfg.is_int8_allowed and cfg.precision == "auto":
        # Without int8 instructions, OpenVINO int8 is not faster than fp32.
        pairs = [("openvino", "int8")] * bool(INT8 & cpu_flags()) + [("onnx", "int8"), *pairs]
    available = [pair for pair in pairs if cfg.engine in ("auto", pair[0]) and _GRAPHS[pair] in model_version.derived]
    if cfg.precision == "bf16":
        available = [pair for pair in available if pair[1] == "bf16"]
    if not available and cfg.engine in ("onnx", "openvino"):
        raise ConfigError(
            f"score.engine: {cfg.engine}: model {model_version.version} has no graph for this engine. Set auto or torch."
        )
    return [Choice(*pair, flag_summary()) for pair in available] or [_torch_on_cpu(cfg, has_bf16)]


def _torch_on_cpu(cfg: ScoreConfig, has_bf16: bool) -> Choice:
    if cfg.precision == "fp32" or not has_bf16:
        return Choice("torch", "fp32", flag_summary())
    from crm_spark.text.model import has_fast_bf16

    return Choice("torch", "bf16" if cfg.precision == "bf16" or has_fast_bf16() else "fp32", flag_summary())


def choose(model_version: ModelVersion, cfg: ScoreConfig, *, num_texts: int = 0) -> Choice:
    """Return the engine to use; from `cfg.trial_texts` texts on, the fastest one in a short benchmark.

    CPU flags alone are not sufficient: with the same bf16 instructions, bf16 runs at twice or at half the speed of fp32.
    """
    options = candidates(model_version, cfg)
    if len(options) == 1 or num_texts < cfg.trial_texts:
        return options[0]
    seconds = {choice: _benchmark(model_version, cfg, choice) for choice in options}
    best = min(options, key=lambda choice: seconds[choice])
    speeds = ", ".join(
        f"{c.engine} {c.precision} {_TRIAL_TEXTS / seconds[c]:.0f}" for c in sorted(options, key=lambda c: seconds[c])
    )
    return Choice(best.engine, best.precision, f"texts/s in a benchmark: {speeds}; {best.reason}")


def _benchmark(model_version: ModelVersion, cfg: ScoreConfig, choice: Choice) -> float:
    """Return the seconds for 16 texts of typical length: the best of six rounds after a warm-up round."""
    backend = load(model_version, cfg, choice)
    random = np.random.default_rng(1)
    ids = random.integers(1_000, 2_000, (_TRIAL_TEXTS, _TRIAL_TOKENS)).astype(np.int32)
    lengths = random.integers(_TRIAL_TOKENS // 2, _TRIAL_TOKENS + 1, _TRIAL_TEXTS).astype(np.int64)
    seconds = []
    for _ in range(_TRIAL_ROUNDS + 1):
        started = time.perf_counter()
        backend.logits(ids, lengths)
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])


def load(model_version: ModelVersion, cfg: ScoreConfig, choice: Choice) -> Backend:
    """Load the model into the chosen engine; a worker with a GPU uses it even if the driver has none."""
    on_gpu = cfg.engine in ("auto", "torch") and has_gpu()
    if choice.engine == "torch" or on_gpu:
        is_bf16 = cfg.precision != "fp32" if on_gpu else choice.precision == "bf16"
        return TorchBackend(
            model_version, threads=cfg.threads, max_tokens=cfg.max_tokens, is_bf16=is_bf16, on_gpu=on_gpu
        )
    graph = model_version.folder / _GRAPHS[choice.engine, choice.precision]
    if choice.engine == "openvino":
        return OpenVinoBackend(graph, precision=choice.precision, threads=cfg.threads, max_tokens=cfg.max_tokens)
    return OnnxBackend(graph, threads=cfg.threads, max_tokens=cfg.max_tokens)


class TorchBackend:
    """PyTorch: packed batches on a GPU, padded batches on a CPU."""

    def __init__(
        self, model_version: ModelVersion, *, threads: int, max_tokens: int | None, is_bf16: bool, on_gpu: bool
    ):
        import torch

        from crm_spark.text.model import load_model

        torch.set_num_threads(threads)
        self.max_tokens = max_tokens or (_GPU_TOKENS if on_gpu else _CPU_TOKENS)
        self.gpu = gpu_of_task() if on_gpu else None
        self.model = load_model(model_version).to(
            torch.device("cpu") if self.gpu is None else torch.device("cuda", self.gpu)
        )
        if is_bf16:
            self.model.encoder.bfloat16()
        self.model.use_packing(on_gpu)

    def compile(self) -> None:
        """Compile the layers; pays off on a GPU with many texts."""
        for layer in self.model.layers:
            layer.compile(dynamic=True)

    def logits(self, ids: NDArray[np.int32], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        """Queue all batches and fetch the results at the end."""
        import torch

        batches = token_batches(lengths.tolist(), max_tokens=self.max_tokens)
        result = np.zeros((len(lengths), len(LABELS)), np.float32)
        with exclusive_gpu(self.gpu), torch.inference_mode():
            outputs = [self.model(*self.model.collate(ids[batch], lengths[batch])) for batch in batches]
            for batch, logits in zip(batches, outputs):
                result[batch] = logits.float().cpu().numpy()
        return result
