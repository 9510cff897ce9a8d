"""Layers that are faster on a CPU: attention as matrix products, cheap dropout, bf16 residual stream."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout, scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface, PreTrainedModel

PADDED = "crm_spark_padded"
MASK_BIAS = -1e4
"""Added to the attention score of a padding token: its weight becomes 0 in fp32, bf16 and fp16."""


def _padded_attention(
    module: nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    *,
    scaling: float | None = None,
    **_: Any,
) -> tuple[Tensor, None]:
    """Attention of a padded batch on a CPU; query, key, value (N, heads, T, D), mask (N, 1, 1, T).

    There is no attention dropout: the fast kernels do not support it. Training uses matrix products, because the bf16
    backward pass of the fused kernel takes four times as long.
    """
    num_texts, num_heads, length, width = query.shape
    bias = query.new_zeros(num_texts, 1, 1, length) if attention_mask is None else attention_mask.to(query.dtype)
    if not module.training:
        mixed = scaled_dot_product_attention(query, key, value, attn_mask=bias, scale=scaling)
        return mixed.transpose(1, 2), None
    q, k, v = (x.reshape(num_texts * num_heads, length, width) for x in (query, key, value))
    bias = bias.expand(-1, num_heads, -1, -1).reshape(num_texts * num_heads, 1, length)
    scores = torch.baddbmm(bias, q, k.transpose(1, 2), alpha=width**-0.5 if scaling is None else scaling)
    return torch.bmm(scores.softmax(-1), v).view(query.shape).transpose(1, 2), None


def _padding_mask(*_: Any, attention_mask: Tensor | None = None, **__: Any) -> Tensor | None:
    """Return the bias of the attention scores, (N, 1, 1, T), for a mask (N, T)."""
    return None if attention_mask is None else (1.0 - attention_mask[:, None, None, :].float()) * MASK_BIAS


class Dropout(nn.Dropout):
    """Dropout with 16 random bits per value: on a CPU five times as fast as PyTorch's.

    The probability is exact to 1/65,536.
    """

    def forward(self, states: Tensor) -> Tensor:
        """Zero a random part of the states and scale up the rest."""
        if states.is_cuda or not self.training or self.p == 0:
            return dropout(states, self.p, self.training)
        words = torch.empty(-(-states.numel() // 4), dtype=torch.int64).random_(-(2**63), None)
        draw = words.view(torch.int16)[: states.numel()].view(states.shape)
        is_kept = draw >= round(self.p * 65_536) - 32_768
        return states * is_kept.to(states.dtype).mul_(1 / (1 - self.p))


def optimise_for_cpu_training(encoder: PreTrainedModel) -> None:
    """Replace the dropout layers, and under autocast keep the states in bf16 from the embeddings on.

    Otherwise the states between layers would be fp32 and cast for each matrix product.
    """
    for module in list(encoder.modules()):
        for name, child in module.named_children():
            if type(child) is nn.Dropout:
                setattr(module, name, Dropout(child.p))
    encoder.get_submodule("embeddings").register_forward_hook(_in_autocast_dtype)


def _in_autocast_dtype(_: nn.Module, __: Any, states: Tensor) -> Tensor:
    is_cast = not states.is_cuda and torch.is_autocast_enabled("cpu")
    return states.to(torch.get_autocast_dtype("cpu")) if is_cast else states


AttentionInterface.register(PADDED, _padded_attention)
AttentionMaskInterface.register(PADDED, _padding_mask)
