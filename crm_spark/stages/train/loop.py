"""Training loop: selects the best epoch, resumes exactly from checkpoints."""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from scipy.special import softmax
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from crm_spark.stages.train.config import TrainConfig
from crm_spark.stages.train.evaluation import best_temperature, evaluate
from crm_spark.stages.train.loss import Loss, Teacher, autocast, mask_id_of
from crm_spark.stages.train.optimiser import add_lora, freeze, optimiser_of
from crm_spark.stages.train.progress import History, Meter, TrainingState
from crm_spark.stages.train.readers import Rows
from crm_spark.stages.train.shard_reader import ShardReader
from crm_spark.text.batches import token_batches
from crm_spark.text.cpu_layers import optimise_for_cpu_training
from crm_spark.text.labels import LABELS
from crm_spark.text.manifest import TRAIN, UNLABELLED, ShardManifest
from crm_spark.text.model import TextClassifier

_CPU_TOKENS, _GPU_TOKENS = 8_192, 131_072


def train(
    model: TextClassifier, reader: ShardReader, validation: list[Rows], out: Path, *, teacher: Teacher | None = None
) -> History:
    """Train with early stopping and restore the weights of the best epoch.

    Args:
        model: on its device, with the same weights on every rank.
        reader: training examples of this rank.
        validation: part of the validation split of this rank.
        out: folder for `checkpoints/` and `tensorboard/`.
        teacher: model for knowledge distillation, or None.
    """
    cfg, device = reader.cfg, model.head.weight.device
    optimise_for_cpu_training(model.encoder)
    freeze(model, cfg.frozen_layers)
    merge = add_lora(model, cfg) if cfg.lora_rank else None
    optimiser, schedule = optimiser_of(model, cfg, num_steps=reader.num_steps * cfg.num_epochs)
    run = TrainingState(model, optimiser, schedule, out, decay=cfg.averaging, is_writer=reader.rank == 0)
    run.resume()
    devices = [device] if device.type == "cuda" else None
    wrapped = DistributedDataParallel(model, device_ids=devices, gradient_as_bucket_view=True)
    loss = Loss(cfg, class_weights(reader.manifest, cfg).to(device), mask_id_of(reader.manifest), teacher)
    unlabelled = _unlabelled(reader, epoch=len(run.history.validation_losses)) if cfg.consistency else None
    started = time.monotonic()
    meter = Meter(run.history, total=reader.num_steps * cfg.num_epochs, out=out if run.is_writer else None)
    while not run.history.is_finished(cfg):
        epoch = len(run.history.validation_losses)
        done = len(run.history.losses) - epoch * reader.num_steps
        model.train()
        for step, rows in enumerate(reader.steps(epoch)):
            others = next(unlabelled) if unlabelled else None
            if step < done:
                continue  # skip steps done before the resumption; the order depends on the seed only
            number = epoch * reader.num_steps + step
            # Seed by step and rank, so that a resumed run draws the same numbers.
            seed = reader.seed * 1_000_003 + number * 997 + reader.rank
            torch.manual_seed(seed)
            loss.random = np.random.default_rng(seed)
            meter.add(*_step(wrapped, rows, others, optimiser, loss), num_tokens=int(rows.num_tokens.sum()))
            schedule.step()
            run.update_average()
            if (number + 1) % cfg.checkpoint_steps == 0:
                meter.flush()
                run.save()
        meter.flush()
        run.end_epoch(validation_bits(run.averaged_model, validation, cfg))
    run.restore_best()
    if merge:
        merge()
    run.history.seconds = time.monotonic() - started
    return run.history


def _unlabelled(reader: ShardReader, *, epoch: int) -> Iterator[Rows]:
    """Return an endless iterator over the unlabelled rows of this rank.

    Raises:
        ValueError: the shard set has no unlabelled texts.
    """
    if not reader.manifest.of(UNLABELLED):
        raise ValueError("train.consistency: the shard set has no unlabelled texts. Set shard.unlabelled_texts.")
    return replace(reader, split=UNLABELLED).endless(epoch)


def _step(
    wrapped: DistributedDataParallel,
    rows: Rows,
    others: Rows | None,
    optimiser: torch.optim.Optimizer,
    loss: Loss,
) -> tuple[Tensor, Tensor]:
    """Run one optimiser step; return the summed cross-entropy of this rank in nats and the example weight of all ranks."""
    model, device, cfg = wrapped.module, loss.weights.device, loss.cfg
    total = model.to_device(rows.weight.sum(keepdims=True))[0]
    dist.all_reduce(total)
    micro_batches = token_batches(rows.num_tokens.tolist(), max_tokens=_max_tokens(device, cfg))
    summed = torch.zeros((), device=device)
    for position, micro_batch in enumerate(micro_batches):
        # Gradients are all-reduced in the last backward pass only.
        is_last = position + 1 == len(micro_batches) and others is None
        with nullcontext() if is_last else wrapped.no_sync():
            objective, plain = loss.of_labelled(wrapped, rows.take(micro_batch))
            # DDP averages over ranks; rescale to the mean over all examples without padding rows.
            (objective * dist.get_world_size() / total.clamp(min=1)).backward()
        summed += plain
    if others is not None:
        (cfg.consistency * loss.of_unlabelled(wrapped, others)).backward()
    nn.utils.clip_grad_norm_(model.parameters(), cfg.max_norm)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return summed, total


def _max_tokens(device: torch.device, cfg: TrainConfig) -> int:
    """Return the number of padded tokens per forward pass."""
    return cfg.max_tokens or (_GPU_TOKENS if device.type == "cuda" else _CPU_TOKENS)


def class_weights(manifest: ShardManifest, cfg: TrainConfig) -> Tensor:
    """Return the weight of each label, (K,): inverse frequency, or 1."""
    counts = torch.tensor([float(manifest.classes[TRAIN].get(label, 0)) for label in LABELS]).clamp(min=1)
    return counts.sum() / (len(LABELS) * counts) if cfg.class_weights else torch.ones(len(LABELS))


@torch.inference_mode()
def logits_of(model: TextClassifier, rows: Rows, cfg: TrainConfig) -> np.ndarray:
    """Return the logits of all rows, including padding rows, (N, K), in input order."""
    model.eval()
    device = model.head.weight.device
    result = np.zeros((len(rows), len(LABELS)))
    for positions in token_batches(rows.num_tokens.tolist(), max_tokens=_max_tokens(device, cfg)):
        part = rows.take(positions)
        with autocast(device, cfg):
            result[positions] = model(*model.collate(part.input_ids, part.num_tokens)).float().cpu().numpy()
    return result


def validation_bits(model: TextClassifier, parts: list[Rows], cfg: TrainConfig) -> float:
    """Return the cross-entropy in bits on the validation split of all ranks, at the best temperature.

    The deployed model is calibrated, so miscalibration must not decide which epoch is selected.
    """
    own_part = [(logits_of(model, rows, cfg)[real], rows.label[real]) for rows in parts for real in [rows.weight > 0]]
    all_parts: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(all_parts, own_part)
    pairs = [pair for part in all_parts for pair in part]
    if not pairs:
        return 0.0
    logits, labels = (np.concatenate(part) for part in zip(*pairs))
    temperature = best_temperature(logits, labels.astype(np.int64))
    return evaluate(softmax(logits / temperature, axis=1), labels.astype(np.int64)).cross_entropy_bits
