"""What multiplies the matrices when texts are scored: one small interface, chosen from what the machine has."""

import time
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crm_spark.core.errors import ConfigError
from crm_spark.models.registry import ONNX, ONNX_INT8, OPENVINO_INT8, ModelVersion
from crm_spark.stages.score.config import ScoreConfig
from crm_spark.stages.score.devices import gpu_of_task, taking_turns
from crm_spark.text.batches import token_batches
from crm_spark.text.hardware import BF16, INT8, cpu_flags, has_gpu, told_flags
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
"""The file of a model that an engine reads."""


@dataclass(frozen=True)
class Choice:
    """An engine and the numbers it computes in; why these."""

    engine: str
    precision: str
    why: str

    def __str__(self) -> str:
        return f"{self.engine} {self.precision} ({self.why})"


class Backend(Protocol):
    """A loaded model."""

    def logits(self, ids: NDArray[np.int32], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        """Logits (N, K) of token ids (N, L), of which `lengths` (N,) are real; in their order."""


def candidates(saved_model: ModelVersion, cfg: ScoreConfig) -> list[Choice]:
    """The engines that may read with this model on this machine, the one that is safe to take untried first.

    Raises:
        ConfigError: what is asked for is not there: a graph, or a processor that multiplies bf16.
    """
    if cfg.engine in ("auto", "torch") and has_gpu():
        return [Choice("torch", "fp32" if cfg.precision == "fp32" else "bf16", "a GPU is here")]
    has_bf16 = bool(BF16 & cpu_flags())
    if cfg.precision == "bf16" and not has_bf16:
        raise ConfigError(
            f"score.precision: bf16: this processor does not multiply it ({told_flags()}); it would be 7 times slower than fp32."
        )
    pairs = [("onnx", "fp32"), ("openvino", "fp32")]
    if cfg.precision != "fp32" and has_bf16:
        pairs.append(("openvino", "bf16"))
    if cfg.is_int8_allowed and cfg.precision == "auto":
        # OpenVINO's int8 is no faster than its fp32 where the processor has no instruction for it.
        pairs = [("openvino", "int8")] * bool(INT8 & cpu_flags()) + [("onnx", "int8"), *pairs]
    found = [pair for pair in pairs if cfg.engine in ("auto", pair[0]) and _GRAPHS[pair] in saved_model.derived]
    if cfg.precision == "bf16":
        found = [pair for pair in found if pair[1] == "bf16"]
    if not found and cfg.engine in ("onnx", "openvino"):
        raise ConfigError(
            f"score.engine: {cfg.engine}: model {saved_model.version} holds no graph for it. Set auto or torch."
        )
    return [Choice(*pair, told_flags()) for pair in found] or [_torch_on_processor(cfg, has_bf16)]


def _torch_on_processor(cfg: ScoreConfig, has_bf16: bool) -> Choice:
    if cfg.precision == "fp32" or not has_bf16:
        return Choice("torch", "fp32", told_flags())
    from crm_spark.text.model import has_fast_bf16

    return Choice("torch", "bf16" if cfg.precision == "bf16" or has_fast_bf16() else "fp32", told_flags())


def choose(saved_model: ModelVersion, cfg: ScoreConfig, *, num_texts: int = 0) -> Choice:
    """The engine for so many texts: where they are many, the one that is fastest here in a trial of a second each.

    Flags do not tell: of two processors with the same instruction for bf16 one multiplies it twice as fast as fp32 and
    the other at half its speed.
    """
    found = candidates(saved_model, cfg)
    if len(found) == 1 or num_texts < cfg.trial_texts:
        return found[0]
    seconds = {choice: _trial(saved_model, cfg, choice) for choice in found}
    best = min(found, key=lambda choice: seconds[choice])
    told = ", ".join(
        f"{c.engine} {c.precision} {_TRIAL_TEXTS / seconds[c]:.0f}" for c in sorted(found, key=lambda c: seconds[c])
    )
    return Choice(best.engine, best.precision, f"texts/s in a trial: {told}; {best.why}")


def _trial(saved_model: ModelVersion, cfg: ScoreConfig, choice: Choice) -> float:
    """Seconds for a few texts of usual length: the best of six rounds after one that warms up."""
    backend = load(saved_model, cfg, choice)
    draw = np.random.default_rng(1)
    ids = draw.integers(1_000, 2_000, (_TRIAL_TEXTS, _TRIAL_TOKENS)).astype(np.int32)
    lengths = draw.integers(_TRIAL_TOKENS // 2, _TRIAL_TOKENS + 1, _TRIAL_TEXTS).astype(np.int64)
    taken = []
    for _ in range(_TRIAL_ROUNDS + 1):
        started = time.perf_counter()
        backend.logits(ids, lengths)
        taken.append(time.perf_counter() - started)
    return min(taken[1:])


def load(saved_model: ModelVersion, cfg: ScoreConfig, choice: Choice) -> Backend:
    """The chosen engine with the model's weights; a worker that has a GPU uses it, whatever the driver has."""
    on_gpu = cfg.engine in ("auto", "torch") and has_gpu()
    if choice.engine == "torch" or on_gpu:
        is_bf16 = cfg.precision != "fp32" if on_gpu else choice.precision == "bf16"
        return TorchBackend(saved_model, threads=cfg.threads, max_tokens=cfg.max_tokens, is_bf16=is_bf16, on_gpu=on_gpu)
    graph = saved_model.folder / _GRAPHS[choice.engine, choice.precision]
    if choice.engine == "openvino":
        return OpenVinoBackend(graph, precision=choice.precision, threads=cfg.threads, max_tokens=cfg.max_tokens)
    return OnnxBackend(graph, threads=cfg.threads, max_tokens=cfg.max_tokens)


class TorchBackend:
    """PyTorch: on a GPU packed, else on a processor's threads."""

    def __init__(self, saved_model: ModelVersion, *, threads: int, max_tokens: int | None, is_bf16: bool, on_gpu: bool):
        import torch

        from crm_spark.text.model import load_model

        torch.set_num_threads(threads)
        self.max_tokens = max_tokens or (_GPU_TOKENS if on_gpu else _CPU_TOKENS)
        self.gpu = gpu_of_task() if on_gpu else None
        self.model = load_model(saved_model).to(
            torch.device("cpu") if self.gpu is None else torch.device("cuda", self.gpu)
        )
        if is_bf16:
            self.model.encoder.bfloat16()
        self.model.use_packing(on_gpu)

    def compile(self) -> None:
        """Compiles the layers: worth it on a GPU, for many texts."""
        for layer in self.model.layers:
            layer.compile(dynamic=True)

    def logits(self, ids: NDArray[np.int32], lengths: NDArray[np.int64]) -> NDArray[np.float32]:
        """Batches follow one another without waiting; the results are fetched at the end."""
        import torch

        batches = token_batches(lengths.tolist(), max_tokens=self.max_tokens)
        result = np.zeros((len(lengths), len(LABELS)), np.float32)
        with taking_turns(self.gpu), torch.inference_mode():
            found = [self.model(*self.model.collate(ids[batch], lengths[batch])) for batch in batches]
            for batch, logits in zip(batches, found):
                result[batch] = logits.float().cpu().numpy()
        return result
