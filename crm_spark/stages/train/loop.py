"""The training loop: every example once an epoch, the best epoch kept, exactly resumable."""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from crm_spark.stages.train.config import TrainConfig
from crm_spark.stages.train.evaluation import best_temperature, evaluate, softmax
from crm_spark.stages.train.loss import Loss, Teacher, autocast, mask_id_of
from crm_spark.stages.train.optimiser import add_lora, freeze, optimiser_of
from crm_spark.stages.train.progress import History, Meter, Run
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
    """Trains until the epochs are over or no longer help, and leaves the model as it was after its best epoch.

    Args:
        model: on its device; every rank has the same weights.
        reader: of this rank's examples.
        validation: this rank's part of the validation split.
        out: folder for `checkpoints/` and `tensorboard/`.
        teacher: what the model learns from beside the labels.
    """
    cfg, device = reader.cfg, model.head.weight.device
    optimise_for_cpu_training(model.encoder)
    freeze(model, cfg.frozen_layers)
    merge = add_lora(model, cfg) if cfg.lora_rank else None
    optimiser, schedule = optimiser_of(model, cfg, num_steps=reader.num_steps * cfg.num_epochs)
    run = Run(model, optimiser, schedule, out, decay=cfg.averaging, is_writer=reader.rank == 0)
    run.resume()
    devices = [device] if device.type == "cuda" else None
    wrapped = DistributedDataParallel(model, device_ids=devices, gradient_as_bucket_view=True)
    loss = Loss(cfg, class_weights(reader.manifest, cfg).to(device), mask_id_of(reader.manifest), teacher)
    unlabelled = _unlabelled(reader, epoch=len(run.history.validation)) if cfg.consistency else None
    started = time.monotonic()
    meter = Meter(run.history, total=reader.num_steps * cfg.num_epochs, out=out if run.is_writer else None)
    while not run.history.is_over(cfg):
        epoch = len(run.history.validation)
        done = len(run.history.losses) - epoch * reader.num_steps
        model.train()
        for step, rows in enumerate(reader.steps(epoch)):
            others = next(unlabelled) if unlabelled else None
            if step < done:
                continue  # read and passed over: the order is a function of the seed
            number = epoch * reader.num_steps + step
            # What is drawn depends on the step and the rank, not on what came before.
            seed = reader.seed * 1_000_003 + number * 997 + reader.rank
            torch.manual_seed(seed)
            loss.draw = np.random.default_rng(seed)
            meter.add(*_step(wrapped, rows, others, optimiser, loss), num_tokens=int(rows.num_tokens.sum()))
            schedule.step()
            run.average()
            if (number + 1) % cfg.checkpoint_steps == 0:
                meter.flush()
                run.save()
        meter.flush()
        run.judge(validation_bits(run.averaged, validation, cfg))
    run.restore_best()
    if merge:
        merge()
    run.history.seconds = time.monotonic() - started
    return run.history


def _unlabelled(reader: ShardReader, *, epoch: int) -> Iterator[Rows]:
    """This rank's texts that nobody rated, step by step, without an end.

    Raises:
        ValueError: the shard set holds none.
    """
    if not reader.manifest.of(UNLABELLED):
        raise ValueError("train.consistency: the shard set holds no unlabelled texts. Set shard.unlabelled_texts.")
    return replace(reader, split=UNLABELLED).endless(epoch)


def _step(
    wrapped: DistributedDataParallel,
    rows: Rows,
    others: Rows | None,
    optimiser: torch.optim.Optimizer,
    loss: Loss,
) -> tuple[Tensor, Tensor]:
    """One update; returns this rank's summed cross-entropy in nats and all ranks' weight of the step's examples."""
    model, device, cfg = wrapped.module, loss.weights.device, loss.cfg
    total = model.to_device(rows.weight.sum(keepdims=True))[0]
    dist.all_reduce(total)
    pieces = token_batches(rows.num_tokens.tolist(), max_tokens=_budget(device, cfg))
    summed = torch.zeros((), device=device)
    for position, piece in enumerate(pieces):
        # Only the last backward pass exchanges gradients.
        is_last = position + 1 == len(pieces) and others is None
        with nullcontext() if is_last else wrapped.no_sync():
            each, given = loss.of_labelled(wrapped, rows.take(piece))
            # DDP averages gradients over ranks; the mean over all examples is wanted, padding rows counting nothing.
            (each * dist.get_world_size() / total.clamp(min=1)).backward()
        summed += given
    if others is not None:
        (cfg.consistency * loss.of_unlabelled(wrapped, others)).backward()
    nn.utils.clip_grad_norm_(model.parameters(), cfg.max_norm)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    return summed, total


def _budget(device: torch.device, cfg: TrainConfig) -> int:
    """Padded tokens that go through the model at once."""
    return cfg.max_tokens or (_GPU_TOKENS if device.type == "cuda" else _CPU_TOKENS)


def class_weights(manifest: ShardManifest, cfg: TrainConfig) -> Tensor:
    """Weight of each label, shape (K,): the inverse of its share, or 1."""
    counts = torch.tensor([float(manifest.classes[TRAIN].get(label, 0)) for label in LABELS]).clamp(min=1)
    return counts.sum() / (len(LABELS) * counts) if cfg.class_weights else torch.ones(len(LABELS))


@torch.inference_mode()
def logits_of(model: TextClassifier, rows: Rows, cfg: TrainConfig) -> np.ndarray:
    """Logits of the rows, padding rows too, shape (N, K), in their order."""
    model.eval()
    device = model.head.weight.device
    result = np.zeros((len(rows), len(LABELS)))
    for positions in token_batches(rows.num_tokens.tolist(), max_tokens=_budget(device, cfg)):
        part = rows.take(positions)
        with autocast(device, cfg):
            result[positions] = model(*model.collate(part.input_ids, part.num_tokens)).float().cpu().numpy()
    return result


def validation_bits(model: TextClassifier, parts: list[Rows], cfg: TrainConfig) -> float:
    """Cross-entropy in bits over all ranks' parts of the validation split, at its best temperature.

    The temperature is set before the model is used: what it mends must not decide which epoch is kept.
    """
    found = [(logits_of(model, rows, cfg)[real], rows.label[real]) for rows in parts for real in [rows.weight > 0]]
    everyone: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(everyone, found)
    pairs = [pair for rank in everyone for pair in rank]
    if not pairs:
        return 0.0
    logits, labels = (np.concatenate(part) for part in zip(*pairs))
    temperature = best_temperature(logits, labels.astype(np.int64))
    return evaluate(softmax(logits / temperature), labels.astype(np.int64)).cross_entropy_bits
