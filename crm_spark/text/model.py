"""A BERT encoder with a classification head. It knows no cluster, no rank, no file layout but a model's."""

import itertools
import json
import time
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn.functional import linear, scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, AutoConfig, AutoModel, PreTrainedModel

from crm_spark.core.errors import ConfigError
from crm_spark.models.registry import ENCODER_CONFIG, WEIGHTS, ModelVersion
from crm_spark.text.cpu_layers import PADDED
from crm_spark.text.hardware import BF16, cpu_flags
from crm_spark.text.labels import LABELS

MEAN, FIRST = "mean", "first"
"""What of a text's states the head reads: their mean, or the state of the first token."""
_PACKED = "crm_spark_packed"


class Packing(NamedTuple):
    """Where the texts of a packed batch lie: N texts, T tokens one after another and none of padding.

    Attributes:
        positions: (1, T) int64, each token's position in its text.
        offsets: (N + 1,) int32, where each text begins.
        longest: tokens of the longest text.
    """

    positions: Tensor
    offsets: Tensor
    longest: int


class TextClassifier(nn.Module):
    """Logits of the verdicts from token ids."""

    def __init__(self, encoder: PreTrainedModel, *, pooling: str = MEAN, dropout: float = 0.1):
        super().__init__()
        self.encoder, self.pooling, self.dropout = encoder, pooling, nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, len(LABELS))

    def forward(self, tokens: Tensor, mask: Tensor | None = None, packing: Packing | None = None) -> Tensor:
        """Logits (N, K) of padded texts, tokens and mask (N, T), or of packed ones, tokens (1, T) and their packing."""
        if packing is None:
            states = self.encoder(input_ids=tokens, attention_mask=mask).last_hidden_state  # (N, T, H)
            pooled = states[:, 0] if self.pooling == FIRST else _masked_mean(states, mask)
        else:
            states = self.encoder(
                input_ids=tokens,
                position_ids=packing.positions,
                cu_seq_lens_q=packing.offsets,
                max_length_q=packing.longest,
            ).last_hidden_state[0]  # (T, H)
            pooled = states[packing.offsets[:-1]] if self.pooling == FIRST else _packed_mean(states, packing)
        return self.head(self.dropout(pooled.to(self.head.weight.dtype)))

    def collate(self, ids: NDArray[Any], lengths: NDArray[Any]) -> tuple[Tensor, Tensor | None, Packing | None]:
        """What `forward` takes, on the model's device: packed on a GPU, padded elsewhere.

        Args:
            ids: token ids (N, L); what lies beyond a text's length is not looked at.
            lengths: tokens of each text (N,), at least 1.
        """
        is_real = np.arange(int(lengths.max())) < lengths[:, None]  # (N, T)
        ids = ids[:, : is_real.shape[1]]
        if not self.is_packed:
            return (
                self.placed(np.where(is_real, ids, 0).astype(np.int64)),
                self.placed(is_real.astype(np.int64)),
                None,
            )
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        positions = np.nonzero(is_real)[1][None]
        packing = Packing(self.placed(positions), self.placed(offsets), is_real.shape[1])
        return self.placed(ids[is_real][None].astype(np.int64)), None, packing

    def placed(self, array: NDArray[Any]) -> Tensor:
        """The array on the model's device; a GPU goes on working while it is copied."""
        device, tensor = self.head.weight.device, torch.from_numpy(array)
        return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)

    def use_packing(self, is_packed: bool = True) -> None:
        """Batches are packed from now on: made for GPUs, elsewhere the texts go through attention one by one."""
        self.encoder.set_attn_implementation(_PACKED if is_packed else PADDED)

    @property
    def is_packed(self) -> bool:
        """Whether batches are packed."""
        return bool(self.encoder.config._attn_implementation == _PACKED)

    @property
    def layers(self) -> nn.ModuleList:
        """The encoder's layers, the one next to the embeddings first."""
        stack = self.encoder.get_submodule("encoder.layer")
        assert isinstance(stack, nn.ModuleList)
        return stack

    def keep_layers(self, count: int) -> None:
        """Drops layers until `count` are left, evenly from the first to the last.

        Raises:
            ConfigError: there are fewer.
        """
        depth = len(self.layers)
        if count > depth:
            raise ConfigError(f"train.num_layers: {count}; the encoder has {depth} layers.")
        kept = np.linspace(0, depth - 1, count).round().astype(int) if count > 1 else [0]
        stack = self.encoder.get_submodule("encoder")
        stack.layer = nn.ModuleList([self.layers[i] for i in kept])
        self.encoder.config.num_hidden_layers = count


def _masked_mean(states: Tensor, mask: Tensor | None) -> Tensor:
    if mask is None:
        return states.mean(1)
    weights = mask.unsqueeze(-1).to(states.dtype)  # (N, T, 1)
    return (states * weights).sum(1) / weights.sum(1).clamp(min=1.0)  # (N, H)


def _packed_mean(states: Tensor, packing: Packing) -> Tensor:
    return torch.segment_reduce(states.float(), "mean", offsets=packing.offsets, unsafe=True)  # (N, H)


def _packed_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    cu_seq_lens_q: Tensor,
    max_length_q: int,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention within each text of a packed batch; query, key, value (1, heads, T, D). Without attention dropout."""
    if not query.is_cuda:
        parts = [
            scaled_dot_product_attention(
                query[:, :, start:end], key[:, :, start:end], value[:, :, start:end], scale=scaling
            )
            for start, end in itertools.pairwise(cu_seq_lens_q.tolist())
        ]
        return torch.cat(parts, 2).transpose(1, 2), None
    from torch.nn.attention.varlen import varlen_attn

    q, k, v = (x[0].transpose(0, 1) for x in (query, key, value))  # (T, heads, D)
    out = varlen_attn(q, k, v, cu_seq_lens_q, cu_seq_lens_q, max_length_q, max_length_q, scale=scaling)
    assert isinstance(out, Tensor)
    return out.unsqueeze(0), None


def _no_mask(*_: Any, **__: Any) -> None:
    """Packed texts have no padding to hide."""


AttentionInterface.register(_PACKED, _packed_attention)
AttentionMaskInterface.register(_PACKED, _no_mask)


def pretrained(folder: Path, *, pooling: str = MEAN) -> TextClassifier:
    """The encoder in a folder with a fresh head."""
    encoder = AutoModel.from_pretrained(
        str(folder), add_pooling_layer=False, local_files_only=True, attn_implementation=PADDED
    )
    return TextClassifier(encoder, pooling=pooling)


def save_model(model: TextClassifier, folder: Path) -> None:
    """Writes the weights and the encoder's configuration."""
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, str(folder / WEIGHTS))
    (folder / ENCODER_CONFIG).write_text(
        json.dumps(model.encoder.config.to_dict(), indent=1, sort_keys=True, default=str)
    )


def load_model(saved_model: ModelVersion) -> TextClassifier:
    """The model of a verified model, ready to infer."""
    config = AutoConfig.from_pretrained(str(saved_model.folder), local_files_only=True)
    encoder = AutoModel.from_config(config, add_pooling_layer=False, attn_implementation=PADDED)
    model = TextClassifier(encoder, pooling=saved_model.card.get("pooling", MEAN))
    model.load_state_dict(load_file(str(saved_model.folder / WEIGHTS)))
    return model.eval()


def uses_bf16(precision: str) -> bool:
    """Whether `bf16`, `fp32` or `auto` means bf16 here; auto: where it is faster.

    Raises:
        ConfigError: bf16 is asked for and nothing here multiplies it; it would be many times slower than fp32.
    """
    if precision == "bf16" and not (torch.cuda.is_available() or BF16 & cpu_flags()):
        raise ConfigError(
            "precision: bf16: neither a GPU nor a processor with avx512_bf16 or amx_bf16 is here; "
            "bf16 would be 7 to 12 times slower than fp32. Set precision to auto or fp32."
        )
    return precision == "bf16" or (precision == "auto" and has_fast_bf16())


@cache
def has_fast_bf16() -> bool:
    """Whether bf16 is faster than fp32 here; without hardware for it, it is many times slower.

    A processor that has the instruction is tried: some with it still multiply bf16 at a third of the speed of fp32.
    """
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(BF16 & cpu_flags()) and _seconds_of_product(torch.bfloat16) < _seconds_of_product(torch.float32)


@torch.inference_mode()
def _seconds_of_product(dtype: torch.dtype) -> float:
    """The best of five matrix products of an encoder's size."""
    states, weights = torch.ones(512, 384, dtype=dtype), torch.ones(1536, 384, dtype=dtype)
    taken = []
    for _ in range(6):
        started = time.perf_counter()
        linear(states, weights)
        taken.append(time.perf_counter() - started)
    return min(taken[1:])
