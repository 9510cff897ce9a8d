"""Entry point of a training rank, started by the stage, by torchrun or by Spark."""

import argparse
import copy
import json
import os
import random
import sys
import traceback
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from crm_spark.core.errors import CrmError
from crm_spark.models.registry import open_model
from crm_spark.stages.train.config import TrainConfig
from crm_spark.stages.train.finalise import finalise
from crm_spark.stages.train.loop import train
from crm_spark.stages.train.loss import Teacher
from crm_spark.stages.train.processes import REJECTED, end_with_parent
from crm_spark.stages.train.readers import read_rows
from crm_spark.stages.train.shard_reader import ShardReader
from crm_spark.text.encoder import encoder_dir
from crm_spark.text.manifest import VALIDATION, read_manifest
from crm_spark.text.model import TextClassifier, load_model, pretrained


def main() -> None:
    """Run a rank that was started by the stage."""
    end_with_parent()
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", required=True)
    train_rank(json.loads(Path(parser.parse_args().spec).read_text()))


def train_rank(spec: dict[str, Any], store: dist.Store | None = None, threads: int | None = None) -> None:
    """Train on the shards of this rank; rank 0 evaluates and writes the model.

    Args:
        spec: settings (`config`), folders (`shards`, `out`, `production`, `teacher`), `seed` and `labels`.
        store: rendezvous store; None: from the environment.
        threads: CPU threads of this rank; None: an equal share of the cores of the machine.
    """
    cfg, shards, out = TrainConfig(**spec["config"]), Path(spec["shards"]), Path(spec["out"])
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads or max(1, cores // int(os.environ["LOCAL_WORLD_SIZE"])))
    device = _device()
    seed_everything(spec["seed"], is_deterministic=device.type == "cpu")
    manifest = read_manifest(shards)
    # Check before the first collective: with unequal step counts a rank would wait forever.
    reader = ShardReader(shards, manifest, cfg, spec["seed"], rank, world_size)
    reader.require_equal_steps()
    validation = [read_rows(shards / file.name) for file in manifest.of(VALIDATION)[rank::world_size]]
    teacher_model = load_model(open_model(Path(spec["teacher"]))) if spec["teacher"] else None
    model = prepare_model(initial_model(manifest.encoder, cfg, teacher_model), cfg, device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    rendezvous: dict[str, Any] = {} if store is None else {"store": store, "rank": rank, "world_size": world_size}
    dist.init_process_group(backend, timeout=timedelta(seconds=cfg.timeout_seconds), **rendezvous)
    teacher = None if teacher_model is None else Teacher(for_inference(teacher_model.to(device)))
    history = train(model, reader, validation, out, teacher=teacher)
    dist.barrier()
    dist.destroy_process_group()
    if rank == 0:
        torch.set_num_threads(threads or cores)
        finalise(model, reader, spec, out, history=history)


def _device() -> torch.device:
    """Return the GPU of this rank, or the CPU."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    return device


def initial_model(encoder: str, cfg: TrainConfig, teacher: TextClassifier | None) -> TextClassifier:
    """Return the pretrained encoder or a copy of the teacher, reduced to `num_layers` layers if set."""
    model = pretrained(encoder_dir(encoder), pooling=cfg.pooling) if teacher is None else copy.deepcopy(teacher)
    if cfg.num_layers is not None:
        model.keep_layers(cfg.num_layers)
    return model


def for_inference(model: TextClassifier) -> TextClassifier:
    """Set evaluation mode and the fastest batch layout of the device."""
    model.use_packing(model.head.weight.is_cuda)
    return model.eval()


def prepare_model(model: TextClassifier, cfg: TrainConfig, device: torch.device) -> TextClassifier:
    """Move the model to its device; on a GPU use packed batches and, if configured, compile the layers."""
    model = model.to(device)
    model.dropout.p = cfg.dropout
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        model.use_packing()
        if cfg.compile:
            for layer in model.layers:
                layer.compile(dynamic=True)
    return model


def seed_everything(seed: int, *, is_deterministic: bool) -> None:
    """Seed all random generators; `is_deterministic` selects deterministic, slower algorithms."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(is_deterministic, warn_only=True)


if __name__ == "__main__":
    try:
        main()
    except (CrmError, ValueError) as error:
        # A restart would fail in the same way; this exit code makes the launcher stop all ranks.
        traceback.print_exception(error)
        sys.exit(REJECTED)
