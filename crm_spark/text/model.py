"""BERT encoder with a classification head; loading and saving."""

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
from crm_spark.text.block_embedding import BLOCK_SIZE, new_encoder
from crm_spark.text.cpu_layers import PADDED
from crm_spark.text.hardware import BF16, cpu_flags
from crm_spark.text.labels import LABELS

MEAN, FIRST = "mean", "first"
"""Pooling of the token states: their mean, or the first token."""
_PACKED = "crm_spark_packed"


class Packing(NamedTuple):
    """Layout of a packed batch: N texts, T tokens, no padding.

    Attributes:
        positions: (1, T) int64, position of each token in its text.
        offsets: (N + 1,) int32, start of each text.
        longest: number of tokens of the longest text.
    """

    positions: Tensor
    offsets: Tensor
    longest: int


class TextClassifier(nn.Module):
    """Text classifier: token ids to logits of the labels."""

    def __init__(self, encoder: PreTrainedModel, *, pooling: str = MEAN, dropout: float = 0.1):
        super().__init__()
        self.encoder, self.pooling, self.dropout = encoder, pooling, nn.Dropout(dropout)
        self.head = nn.Linear(encoder.config.hidden_size, len(LABELS))

    def forward(self, tokens: Tensor, mask: Tensor | None = None, packing: Packing | None = None) -> Tensor:
        """Return logits (N, K) of padded texts (tokens and mask (N, T)) or packed texts (tokens (1, T) and packing)."""
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
        """Return the arguments of `forward` on the device of the model, packed or padded.

        Args:
            ids: token ids (N, L); ids beyond the length of a text are ignored.
            lengths: number of tokens of each text (N,), at least 1.
        """
        is_real = np.arange(int(lengths.max())) < lengths[:, None]  # (N, T)
        ids = ids[:, : is_real.shape[1]]
        if not self.is_packed:
            return (
                self.to_device(np.where(is_real, ids, 0).astype(np.int64)),
                self.to_device(is_real.astype(np.int64)),
                None,
            )
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        positions = np.nonzero(is_real)[1][None]
        packing = Packing(self.to_device(positions), self.to_device(offsets), is_real.shape[1])
        return self.to_device(ids[is_real][None].astype(np.int64)), None, packing

    def to_device(self, array: NDArray[Any]) -> Tensor:
        """Copy an array to the device of the model; asynchronous on a GPU."""
        device, tensor = self.head.weight.device, torch.from_numpy(array)
        return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)

    def use_packing(self, is_packed: bool = True) -> None:
        """Switch between packed and padded batches. Packing suits GPUs; on a CPU attention then runs text by text."""
        self.encoder.set_attn_implementation(_PACKED if is_packed else PADDED)

    @property
    def is_packed(self) -> bool:
        """Whether `collate` packs batches."""
        return bool(self.encoder.config._attn_implementation == _PACKED)

    @property
    def layers(self) -> nn.ModuleList:
        """Layers of the encoder, lowest first."""
        stack = self.encoder.get_submodule("encoder.layer")
        assert isinstance(stack, nn.ModuleList)
        return stack

    def keep_layers(self, count: int) -> None:
        """Keep `count` evenly spaced layers, including the first and the last.

        Raises:
            ConfigError: the encoder has fewer layers.
        """
        depth = len(self.layers)
        if count > depth:
            raise ConfigError(f"train.num_layers: {count}; the encoder has {depth} layers.")
        indices = np.linspace(0, depth - 1, count).round().astype(int) if count > 1 else [0]
        stack = self.encoder.get_submodule("encoder")
        stack.layer = nn.ModuleList([self.layers[i] for i in indices])
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
    """Attention within each text of a packed batch; query, key, value (1, heads, T, D). No attention dropout."""
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
    """Return no mask: packed batches have no padding."""


AttentionInterface.register(_PACKED, _packed_attention)
AttentionMaskInterface.register(_PACKED, _no_mask)


def pretrained(folder: Path, *, pooling: str = MEAN) -> TextClassifier:
    """Load a pretrained encoder in fp32, whatever the precision of its files, and add a new head."""
    config = AutoConfig.from_pretrained(str(folder), local_files_only=True)
    if getattr(config, BLOCK_SIZE, None) is None:
        encoder = AutoModel.from_pretrained(
            str(folder),
            add_pooling_layer=False,
            local_files_only=True,
            attn_implementation=PADDED,
            dtype=torch.float32,
        )
    else:
        encoder = new_encoder(config, attention=PADDED)
        encoder.load_state_dict(load_file(str(folder / WEIGHTS)))
    return TextClassifier(encoder, pooling=pooling)


def save_model(model: TextClassifier, folder: Path) -> None:
    """Write the weights and the encoder configuration."""
    save_file({name: tensor.contiguous() for name, tensor in model.state_dict().items()}, str(folder / WEIGHTS))
    (folder / ENCODER_CONFIG).write_text(
        json.dumps(model.encoder.config.to_dict(), indent=1, sort_keys=True, default=str)
    )


def load_model(model_version: ModelVersion) -> TextClassifier:
    """Load a model version in evaluation mode."""
    config = AutoConfig.from_pretrained(str(model_version.folder), local_files_only=True)
    model = TextClassifier(new_encoder(config, attention=PADDED), pooling=model_version.card.get("pooling", MEAN))
    model.load_state_dict(load_file(str(model_version.folder / WEIGHTS)))
    return model.eval()


def uses_bf16(precision: str) -> bool:
    """Return whether the precision setting selects bf16 on this machine; auto selects it where it is faster.

    Raises:
        ConfigError: bf16 is set but neither GPU nor CPU supports it.
    """
    if precision == "bf16" and not (torch.cuda.is_available() or BF16 & cpu_flags()):
        raise ConfigError(
            "precision: bf16: this machine has neither a GPU nor a CPU with avx512_bf16 or amx_bf16; "
            "bf16 would be 7 to 12 times slower than fp32. Set precision to auto or fp32."
        )
    return precision == "bf16" or (precision == "auto" and has_fast_bf16())


@cache
def has_fast_bf16() -> bool:
    """Return whether bf16 is faster than fp32 on this machine.

    CPUs with bf16 instructions are measured: some run bf16 at a third of the speed of fp32.
    """
    if torch.cuda.is_available():
        return bool(torch.cuda.is_bf16_supported())
    return bool(BF16 & cpu_flags()) and _seconds_of_product(torch.bfloat16) < _seconds_of_product(torch.float32)


@torch.inference_mode()
def _seconds_of_product(dtype: torch.dtype) -> float:
    """Return the best time of five matrix products of the size used in an encoder."""
    states, weights = torch.ones(512, 384, dtype=dtype), torch.ones(1536, 384, dtype=dtype)
    seconds = []
    for _ in range(6):
        started = time.perf_counter()
        linear(states, weights)
        seconds.append(time.perf_counter() - started)
    return min(seconds[1:])
