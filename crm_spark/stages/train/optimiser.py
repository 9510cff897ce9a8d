"""AdamW parameter groups, learning rate schedule, frozen layers and LoRA."""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR

from crm_spark.stages.train.config import TrainConfig
from crm_spark.text.model import TextClassifier


def freeze(model: TextClassifier, num_layers: int) -> None:
    """Freeze the embeddings and the first `num_layers` layers; 0: freeze nothing.

    Raises:
        ValueError: the encoder has fewer layers.
    """
    if num_layers > len(model.layers):
        raise ValueError(f"train.frozen_layers: {num_layers}; the encoder has {len(model.layers)} layers.")
    if num_layers:
        for part in (model.encoder.embeddings, *model.layers[:num_layers]):
            part.requires_grad_(False)


def add_lora(model: TextClassifier, cfg: TrainConfig) -> Callable[[], None]:
    """Freeze the encoder and add LoRA adapters to queries and values; return a function that merges them."""
    from peft import LoraConfig
    from peft.tuners.lora import LoraModel

    rank, depth = cfg.lora_rank or 0, len(model.layers)
    adapters = LoraConfig(
        r=rank,
        lora_alpha=2 * rank,
        lora_dropout=cfg.dropout,
        target_modules=["query", "value"],
        layers_to_transform=list(range(cfg.frozen_layers, depth)),
    )
    tuner = LoraModel(model.encoder, adapters, "default")

    def merge() -> None:
        tuner.merge_and_unload()

    return merge


def optimiser_of(model: TextClassifier, cfg: TrainConfig, *, num_steps: int) -> tuple[torch.optim.AdamW, LambdaLR]:
    """Return AdamW and a linear warm-up and decay schedule.

    No weight decay on biases and norms, layer-wise learning rate decay, a separate learning rate for the head.
    """
    groups = _groups(model.head, rate=cfg.head_learning_rate, decay=0.0)
    depth = len(model.layers)
    for height, part in enumerate((model.encoder.embeddings, *model.layers)):
        rate = cfg.learning_rate * cfg.layer_decay ** (depth - height)
        groups += _groups(part, rate=rate, decay=cfg.weight_decay)
    optimiser = torch.optim.AdamW(groups, fused=True)
    warmup = max(1, int(cfg.warmup_fraction * num_steps))

    def factor(step: int) -> float:
        return (step + 1) / warmup if step < warmup else max(0.0, (num_steps - step) / max(1, num_steps - warmup))

    return optimiser, LambdaLR(optimiser, factor)


def _groups(part: nn.Module, *, rate: float, decay: float) -> list[dict[str, Any]]:
    trainable = [p for p in part.parameters() if p.requires_grad]
    matrices, others = [p for p in trainable if p.ndim >= 2], [p for p in trainable if p.ndim < 2]
    groups: list[dict[str, Any]] = [
        {"params": matrices, "weight_decay": decay, "lr": rate},
        {"params": others, "weight_decay": 0.0, "lr": rate},
    ]
    return [group for group in groups if group["params"]]
