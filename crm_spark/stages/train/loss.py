"""What a step is judged by: labels, a teacher's probabilities, and readings that should not depend on a few hidden words."""

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
from crm_spark.text.tokenizer import load_tokenizer

_SOFTENING = 2.0
"""Temperature of the teacher's and the pupil's probabilities (Hinton et al. 2015)."""
_HIDDEN, _SURE = 0.2, 0.8
"""Of a text that nobody rated: the share of tokens that is hidden, and how sure its reading must be to count."""


@dataclass(frozen=True)
class Teacher:
    """A trained model that gives its probabilities for what is learned from; on the pupil's device."""

    model: TextClassifier

    @torch.no_grad()
    def logits(self, rows: Rows) -> Tensor:
        """Logits (N, K)."""
        logits: Tensor = self.model(*self.model.collate(rows.input_ids, rows.num_tokens)).float()
        return logits


@dataclass
class Loss:
    """The losses of a training.

    Attributes:
        cfg: of the training.
        weights: of the labels, (K,), on the model's device.
        mask_id: the token that hides others.
        teacher: null: labels only.
        draw: of the tokens that are hidden; set anew for each step.
    """

    cfg: TrainConfig
    weights: Tensor
    mask_id: int
    teacher: Teacher | None = None
    draw: np.random.Generator = field(default_factory=np.random.default_rng)

    def of_labelled(self, wrapped: DistributedDataParallel, rows: Rows) -> tuple[Tensor, Tensor]:
        """The loss to descend and the plain cross-entropy in nats, each summed over the rows by their weights."""
        model, cfg = wrapped.module, self.cfg
        shown = rows.with_hidden(cfg.token_dropout, self.mask_id, self.draw) if cfg.token_dropout else rows
        inputs = model.collate(shown.input_ids, shown.num_tokens)
        label, weight = model.to_device(rows.label.astype(np.int64)), model.to_device(rows.weight)
        with autocast(weight.device, cfg):
            logits = wrapped(*inputs).float()  # (B, K)
        each = cross_entropy(logits, label, weight=self.weights, reduction="none", label_smoothing=cfg.label_smoothing)
        if self.teacher is not None:
            with autocast(weight.device, cfg):
                taught = self.teacher.logits(rows)
            each = (1 - cfg.distillation) * each + cfg.distillation * _softened(logits, taught)
        plain = cross_entropy(logits.detach(), label, reduction="none")
        return (each * weight).sum(), (plain * weight).sum()

    def of_unlabelled(self, wrapped: DistributedDataParallel, rows: Rows) -> Tensor:
        """Mean over the texts of how far the reading with hidden tokens is from the whole one, where that is sure."""
        model, cfg = wrapped.module, self.cfg
        hidden = rows.with_hidden(_HIDDEN, self.mask_id, self.draw)
        weight = model.to_device(rows.weight)
        with autocast(weight.device, cfg):
            with torch.no_grad():
                model.eval()
                whole = model(*model.collate(rows.input_ids, rows.num_tokens)).float().softmax(-1)
                model.train()
            read = wrapped(*model.collate(hidden.input_ids, hidden.num_tokens)).float()
        counts = weight * (whole.max(-1).values >= _SURE)
        each = kl_div(log_softmax(read, -1), whole, reduction="none").sum(-1)
        return (each * counts).sum() / weight.sum().clamp(min=1)


def _softened(logits: Tensor, taught: Tensor) -> Tensor:
    """Divergence of the pupil's softened probabilities from the teacher's, (B,), in the scale of a cross-entropy."""
    pupil, teacher = log_softmax(logits / _SOFTENING, -1), log_softmax(taught / _SOFTENING, -1)
    return _SOFTENING**2 * kl_div(pupil, teacher, reduction="none", log_target=True).sum(-1)


def mask_id_of(manifest: ShardManifest) -> int:
    """The token that hides others, of the tokenizer that made the shards."""
    found = load_tokenizer(encoder_dir(manifest.encoder), None).token_to_id("[MASK]")
    return int(found) if found is not None else 0


def autocast(device: torch.device, cfg: TrainConfig) -> AbstractContextManager[Any]:
    """bf16 where the configuration and the hardware say so."""
    return torch.autocast(device.type, torch.bfloat16) if uses_bf16(cfg.precision) else nullcontext()
