"""What multiplies the matrices when texts are scored: one small interface, chosen from what the machine has."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from crm_spark.core.errors import ConfigError
from crm_spark.stages.score.config import ScoreConfig
from crm_spark.text.batches import token_batches
from crm_spark.text.bundle import ONNX, ONNX_INT8, Bundle
from crm_spark.text.hardware import BF16, cpu_flags, has_gpu, told_flags
from crm_spark.text.labels import LABELS
from crm_spark.text.onnx_graph import OnnxBackend

_CPU_TOKENS, _GPU_TOKENS = 4_096, 131_072


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


def choose(bundle: Bundle, cfg: ScoreConfig) -> Choice:
    """The fastest engine for this machine that loses nothing; int8 where it is allowed and the bundle has it.

    Raises:
        ConfigError: an engine is asked for that the bundle has no graph for, or bf16 that nothing here multiplies.
    """
    wanted = [ONNX_INT8] if cfg.is_int8_allowed else []
    graphs = [name for name in (*wanted, ONNX) if name in bundle.derived]
    if cfg.engine == "onnx" and not graphs:
        raise ConfigError(f"score.engine: onnx: bundle {bundle.version} holds no ONNX graph. Set auto or torch.")
    has_bf16 = bool(BF16 & cpu_flags())
    if cfg.engine in ("auto", "torch") and has_gpu():
        return Choice("torch", "fp32" if cfg.precision == "fp32" else "bf16", "a GPU is here")
    if cfg.precision == "bf16" and not has_bf16:
        raise ConfigError(
            f"score.precision: bf16: this processor does not multiply it ({told_flags()}); it would be 7 times slower than fp32."
        )
    if cfg.engine != "torch" and graphs and graphs[0] == ONNX_INT8:
        return Choice("onnx", "int8", told_flags())
    if cfg.engine != "onnx" and cfg.precision != "fp32" and has_bf16:
        return Choice("torch", "bf16", told_flags())
    return Choice("onnx" if graphs and cfg.engine != "torch" else "torch", "fp32", told_flags())


def load(bundle: Bundle, cfg: ScoreConfig) -> Backend:
    """The chosen engine with the bundle's weights."""
    choice = choose(bundle, cfg)
    if choice.engine == "onnx":
        graph = ONNX_INT8 if choice.precision == "int8" else ONNX
        return OnnxBackend(bundle.folder / graph, threads=cfg.threads, max_tokens=cfg.max_tokens)
    return TorchBackend(
        bundle, threads=cfg.threads, max_tokens=cfg.max_tokens, is_bf16=choice.precision == "bf16", on_gpu=has_gpu()
    )


class TorchBackend:
    """PyTorch: on a GPU packed, else on a processor's threads."""

    def __init__(self, bundle: Bundle, *, threads: int, max_tokens: int | None, is_bf16: bool, on_gpu: bool):
        import torch

        from crm_spark.text.model import load_model

        torch.set_num_threads(threads)
        self.max_tokens = max_tokens or (_GPU_TOKENS if on_gpu else _CPU_TOKENS)
        self.model = load_model(bundle).to(torch.device("cuda" if on_gpu else "cpu"))
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
        with torch.inference_mode():
            found = [self.model(*self.model.collate(ids[batch], lengths[batch])) for batch in batches]
            for batch, logits in zip(batches, found):
                result[batch] = logits.float().cpu().numpy()
        return result
