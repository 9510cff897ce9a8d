"""One rank of the training: `torchrun -m crm_spark.stages.train.worker --spec spec.json`."""

import argparse
import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.nn.parallel import DistributedDataParallel

from crm_spark.core.log import Heartbeat
from crm_spark.stages.train import checkpoint
from crm_spark.stages.train.config import TrainConfig
from crm_spark.stages.train.evaluation import best_temperature, evaluate, majority, softmax, tfidf_lr
from crm_spark.stages.train.processes import end_with_parent
from crm_spark.stages.train.readers import Rows, direct_row_groups, joined, micro_batches, num_steps, read_rows
from crm_spark.text.batches import token_batches
from crm_spark.text.bundle import CARD, TOKENIZER
from crm_spark.text.encoder import encoder_dir
from crm_spark.text.manifest import SPLITS, TEST, TRAIN, VALIDATION, ShardManifest, read_manifest
from crm_spark.text.model import TextClassifier, pretrained, save_model, uses_bf16


def main() -> None:
    """Trains on this rank's shard; rank 0 evaluates and leaves the bundle's files."""
    end_with_parent()
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", required=True)
    spec = json.loads(Path(parser.parse_args().spec).read_text())
    cfg, shards, out = TrainConfig(**spec["config"]), Path(spec["shards"]), Path(spec["out"])
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // world_size))
    _seed_everything(spec["seed"])
    manifest = read_manifest(shards)
    # Before the first collective: unequal steps would leave the last rank waiting for ever.
    plan = _steps(manifest, cfg, world_size)
    dist.init_process_group("gloo", timeout=timedelta(seconds=cfg.timeout_seconds))
    device = (
        torch.device("cuda", rank % torch.cuda.device_count()) if torch.cuda.is_available() else torch.device("cpu")
    )
    model = pretrained(encoder_dir(manifest.encoder)).to(device)
    started = time.monotonic()
    losses = train(model, shards, manifest, cfg, plan, out / "checkpoints", device=device, seed=spec["seed"])
    seconds = time.monotonic() - started
    dist.barrier()
    dist.destroy_process_group()
    if rank == 0:
        _finish(model, shards, manifest, cfg, spec, out, losses=losses, seconds=seconds, world_size=world_size)


def _seed_everything(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(True, warn_only=True)


def _steps(manifest: ShardManifest, cfg: TrainConfig, world_size: int) -> int:
    rows = [file.num_rows for file in manifest.of(TRAIN)]
    per_epoch = num_steps(rows, world_size=world_size, batch_rows=cfg.batch_rows, window_rows=cfg.window_rows)[0]
    if cfg.max_examples is not None:
        per_epoch = min(per_epoch, max(1, cfg.max_examples // (cfg.batch_rows * world_size)))
    return per_epoch


def batches_of(shards: Path, manifest: ShardManifest, cfg: TrainConfig, *, epoch: int, seed: int) -> Iterator[Rows]:
    """This rank's micro-batches of an epoch; the same on every run."""
    rank, world_size = dist.get_rank(), dist.get_world_size()
    paths = [shards / file.name for file in manifest.of(TRAIN)]
    epoch_seed = 1 + (seed + epoch) % (2**31 - 2)
    if cfg.reader == "petastorm":
        from crm_spark.stages.train.petastorm_reader import row_groups
    else:
        row_groups = direct_row_groups
    groups = row_groups(paths, rank=rank, world_size=world_size, seed=epoch_seed)
    return micro_batches(groups, batch_rows=cfg.batch_rows, window_rows=cfg.window_rows, seed=epoch_seed)


def train(
    model: TextClassifier,
    shards: Path,
    manifest: ShardManifest,
    cfg: TrainConfig,
    steps_per_epoch: int,
    checkpoints: Path,
    *,
    device: torch.device,
    seed: int,
) -> list[float]:
    """The loop; returns the loss in bits of each step on this rank."""
    rank, total = dist.get_rank(), steps_per_epoch * cfg.num_epochs
    optimiser, schedule = _optimiser(model, cfg, total)
    weights = _class_weights(manifest, cfg).to(device)
    first, losses = _resume(model, optimiser, schedule, checkpoints)
    wrapped = DistributedDataParallel(model)
    autocast = torch.autocast(device.type, torch.bfloat16) if uses_bf16(cfg.precision) else nullcontext()
    bar = Heartbeat("train", total)
    model.train()
    for step, batch in enumerate(_all_batches(shards, manifest, cfg, steps_per_epoch, seed=seed)):
        if step < first:
            continue  # read and passed over: the order is a function of the seed
        tokens, mask, label, weight = _tensors(batch, device)  # (B, T), (B, T), (B,), (B,)
        torch.manual_seed(seed * 1_000_003 + step * 997 + rank)  # dropout depends on the step, not on what came before
        with autocast:
            logits = wrapped(tokens, mask)  # (B, K)
        each = cross_entropy(logits.float(), label, weight=weights, reduction="none") * weight  # (B,)
        # DDP averages gradients over ranks: divide by the mean weight of a rank, so padding rows count nothing.
        loss = each.sum() / _mean_over_ranks(weight.sum())
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), cfg.max_norm)
        optimiser.step()
        schedule.step()
        losses.append(float(each.detach().sum() / weight.sum().clamp(min=1)) / float(np.log(2)))
        if rank == 0:
            bar.update(step + 1, f"{np.mean(losses[-20:]):.3f} bits")
            if (step + 1) % cfg.checkpoint_steps == 0 and step + 1 < total:
                _save(model, optimiser, schedule, checkpoints, step + 1, losses)
    return losses


def _all_batches(shards: Path, manifest: ShardManifest, cfg: TrainConfig, steps: int, *, seed: int) -> Iterator[Rows]:
    for epoch in range(cfg.num_epochs):
        for step, batch in enumerate(batches_of(shards, manifest, cfg, epoch=epoch, seed=seed)):
            if step == steps:
                break
            yield batch


def _tensors(batch: Rows, device: torch.device) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    width = batch.input_ids.shape[1]
    mask = np.arange(width)[None, :] < batch.num_tokens[:, None]
    arrays = (
        batch.input_ids.astype(np.int64),
        mask.astype(np.int64),
        batch.label.astype(np.int64),
        batch.weight.copy(),
    )
    tokens, masked, label, weight = (torch.from_numpy(array).to(device) for array in arrays)
    return tokens, masked, label, weight


def _mean_over_ranks(value: Tensor) -> Tensor:
    total = value.detach().clone()
    dist.all_reduce(total)
    return (total / dist.get_world_size()).clamp(min=1e-6)


def _optimiser(model: TextClassifier, cfg: TrainConfig, total: int) -> tuple[Any, Any]:
    """AdamW: no decay on biases and norms, a faster head; linear warm-up, then linear to zero."""
    decayed = [p for n, p in model.encoder.named_parameters() if p.ndim >= 2]
    plain = [p for n, p in model.encoder.named_parameters() if p.ndim < 2]
    groups = [
        {"params": decayed, "weight_decay": cfg.weight_decay, "lr": cfg.learning_rate},
        {"params": plain, "weight_decay": 0.0, "lr": cfg.learning_rate},
        {"params": list(model.head.parameters()), "weight_decay": 0.0, "lr": cfg.head_learning_rate},
    ]
    optimiser = torch.optim.AdamW(groups, fused=True)
    warmup = max(1, int(cfg.warmup_fraction * total))

    def factor(step: int) -> float:
        return (step + 1) / warmup if step < warmup else max(0.0, (total - step) / max(1, total - warmup))

    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, factor)


def _class_weights(manifest: ShardManifest, cfg: TrainConfig) -> Tensor:
    from crm_spark.text.labels import LABELS

    counts = torch.tensor([float(manifest.classes[TRAIN].get(label, 0)) for label in LABELS]).clamp(min=1)
    return counts.sum() / (len(LABELS) * counts) if cfg.class_weights else torch.ones(len(LABELS))


def _resume(model: nn.Module, optimiser: Any, schedule: Any, folder: Path) -> tuple[int, list[float]]:
    state = checkpoint.newest_valid(folder)
    if state is None:
        return 0, []
    model.load_state_dict(state["model"])
    optimiser.load_state_dict(state["optimiser"])
    schedule.load_state_dict(state["schedule"])
    return int(state["step"]), list(state["losses"])


def _save(model: nn.Module, optimiser: Any, schedule: Any, folder: Path, step: int, losses: list[float]) -> None:
    state = {
        "model": model.state_dict(),
        "optimiser": optimiser.state_dict(),
        "schedule": schedule.state_dict(),
        "step": step,
        "losses": losses,
    }
    checkpoint.save(state, folder, step=step)


@torch.inference_mode()
def logits_of(model: TextClassifier, rows: Rows, *, device: torch.device, is_bf16: bool) -> np.ndarray:
    """Logits of the examples among the rows, shape (N, K), in their order."""
    real = rows.take(np.flatnonzero(rows.weight > 0))
    model.eval()
    result = np.zeros((len(real), model.head.out_features))
    autocast = torch.autocast(device.type, torch.bfloat16) if is_bf16 else nullcontext()
    for positions in token_batches(real.num_tokens.tolist(), max_tokens=4096):
        tokens, mask, _, _ = _tensors(real.take(positions), device)
        with autocast:
            result[positions] = model(tokens, mask).float().cpu().numpy()
    return result


def _finish(
    model: TextClassifier,
    shards: Path,
    manifest: ShardManifest,
    cfg: TrainConfig,
    spec: dict[str, Any],
    out: Path,
    *,
    losses: list[float],
    seconds: float,
    world_size: int,
) -> None:
    """Temperature on the validation side, figures on the test side, the files of the bundle."""
    torch.set_num_threads(os.cpu_count() or 1)
    device = next(model.parameters()).device
    sides = {split: joined([read_rows(shards / file.name) for file in manifest.of(split)]) for split in SPLITS}
    real = {split: rows.label[rows.weight > 0].astype(np.int64) for split, rows in sides.items()}
    logits = {
        s: logits_of(model, sides[s], device=device, is_bf16=uses_bf16(cfg.precision)) for s in (VALIDATION, TEST)
    }
    temperature = best_temperature(logits[VALIDATION], real[VALIDATION])
    figures = {
        "bert": evaluate(softmax(logits[TEST] / temperature), real[TEST]),
        "majority": evaluate(majority(sides[TRAIN], len(real[TEST])), real[TEST]),
        **{
            name: evaluate(tfidf_lr(sides[TRAIN], sides[TEST], seed=spec["seed"], is_balanced=even), real[TEST])
            for name, even in (("tfidf_lr", False), ("tfidf_lr_balanced", True))
        },
    }
    card = {
        "temperature": temperature,
        "labels": list(spec["labels"]),
        "encoder": manifest.encoder,
        "max_length": manifest.max_length,
        "examples": manifest.classes,
        "test": {name: asdict(figure) for name, figure in figures.items()},
        "training": {
            "config": cfg.model_dump(),
            "seed": spec["seed"],
            "steps": len(losses),
            "examples_seen": len(losses) * cfg.batch_rows * world_size,
            "precision": "bf16" if uses_bf16(cfg.precision) else "fp32",
        },
        "made_from": manifest.inputs,
        "purpose": "Reading customers' texts: recommends, does not recommend, no clear opinion.",
        "licence": "The embedded encoder is under the MIT licence.",
    }
    draft = out / "bundle"
    draft.mkdir(parents=True, exist_ok=True)
    save_model(model.cpu(), draft)
    (draft / TOKENIZER).write_bytes((encoder_dir(manifest.encoder) / TOKENIZER).read_bytes())
    (draft / CARD).write_text(json.dumps(card, indent=1, sort_keys=True))
    (out / "result.json").write_text(json.dumps({"seconds": seconds, "losses": losses, **card}))


if __name__ == "__main__":
    main()
