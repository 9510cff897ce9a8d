"""Losses: cross-entropy with labels, knowledge distillation, and consistency on unlabelled texts."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, kl_div, log_softmax
from torch.nn.parallel import DistributedDataParallel

from crm_spark.stages.train.config import TrainConfig
from crm_spark.stages.train.readers import Rows
from crm_spark.text.encoder import encoder_dir
from crm_spark.text.manifest import ShardManifest
from crm_spark.text.model import TextClassifier, uses_bf16
from crm_spark.text.tokenizer import MASK_TOKENS, load_tokenizer

_DISTILLATION_TEMPERATURE = 2.0
"""Temperature of the probabilities of teacher and student (Hinton et al. 2015)."""
_MASKED_FRACTION, _MIN_CONFIDENCE = 0.2, 0.8
"""Consistency loss: fraction of masked tokens, and smallest probability of the target prediction."""


@dataclass(frozen=True)
class Teacher:
    """Teacher model for knowledge distillation, on the device of the student."""

    model: TextClassifier

    @torch.no_grad()
    def logits(self, rows: Rows) -> Tensor:
        """Return logits (N, K)."""
        logits: Tensor = self.model(*self.model.collate(rows.input_ids, rows.num_tokens)).float()
        return logits


@dataclass
class Loss:
    """Loss functions of a training run.

    Attributes:
        cfg: settings of the train stage.
        weights: label weights (K,) on the device of the model.
        mask_id: id of the mask token.
        teacher: None: labels only.
        random: generator for masked tokens; reseeded in each step.
    """

    cfg: TrainConfig
    weights: Tensor
    mask_id: int
    teacher: Teacher | None = None
    random: np.random.Generator = field(default_factory=np.random.default_rng)

    def of_labelled(self, wrapped: DistributedDataParallel, rows: Rows) -> tuple[Tensor, Tensor]:
        """Return the training loss and the plain cross-entropy in nats, each as a weighted sum over the rows."""
        model, cfg = wrapped.module, self.cfg
        inputs_rows = rows.with_masked(cfg.token_dropout, self.mask_id, self.random) if cfg.token_dropout else rows
        inputs = model.collate(inputs_rows.input_ids, inputs_rows.num_tokens)
        label, weight = model.to_device(rows.label.astype(np.int64)), model.to_device(rows.weight)
        with autocast(weight.device, cfg):
            logits = wrapped(*inputs).float()  # (B, K)
        each = cross_entropy(logits, label, weight=self.weights, reduction="none", label_smoothing=cfg.label_smoothing)
        if self.teacher is not None:
            with autocast(weight.device, cfg):
                teacher_logits = self.teacher.logits(rows)
            each = (1 - cfg.distillation) * each + cfg.distillation * _distillation_loss(logits, teacher_logits)
        plain = cross_entropy(logits.detach(), label, reduction="none")
        return (each * weight).sum(), (plain * weight).sum()

    def of_unlabelled(self, wrapped: DistributedDataParallel, rows: Rows) -> Tensor:
        """Return the mean divergence of predictions with masked tokens from confident predictions without."""
        model, cfg = wrapped.module, self.cfg
        masked = rows.with_masked(_MASKED_FRACTION, self.mask_id, self.random)
        weight = model.to_device(rows.weight)
        with autocast(weight.device, cfg):
            with torch.no_grad():
                model.eval()
                target = model(*model.collate(rows.input_ids, rows.num_tokens)).float().softmax(-1)
                model.train()
            logits = wrapped(*model.collate(masked.input_ids, masked.num_tokens)).float()
        counts = weight * (target.max(-1).values >= _MIN_CONFIDENCE)
        each = kl_div(log_softmax(logits, -1), target, reduction="none").sum(-1)
        return (each * counts).sum() / weight.sum().clamp(min=1)


def _distillation_loss(logits: Tensor, teacher_logits: Tensor) -> Tensor:
    """Return the divergence of the student from the teacher at raised temperature, (B,), scaled like a cross-entropy."""
    student, teacher = (
        log_softmax(logits / _DISTILLATION_TEMPERATURE, -1),
        log_softmax(teacher_logits / _DISTILLATION_TEMPERATURE, -1),
    )
    return _DISTILLATION_TEMPERATURE**2 * kl_div(student, teacher, reduction="none", log_target=True).sum(-1)


def mask_id_of(manifest: ShardManifest) -> int:
    """Return the id of the mask token of the encoder of the shards."""
    tokenizer = load_tokenizer(encoder_dir(manifest.encoder), None)
    ids = (tokenizer.token_to_id(name) for name in MASK_TOKENS)
    return next((int(token_id) for token_id in ids if token_id is not None), 0)


def autocast(device: torch.device, cfg: TrainConfig) -> AbstractContextManager[Any]:
    """Return the autocast context for the configured precision."""
    return torch.autocast(device.type, torch.bfloat16) if uses_bf16(cfg.precision) else nullcontext()
