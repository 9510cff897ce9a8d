"""One rank of a training, whoever started it: the stage by torchrun, a person by torchrun, or Spark."""

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
from crm_spark.stages.train.finalise import finish
from crm_spark.stages.train.loop import train
from crm_spark.stages.train.loss import Teacher
from crm_spark.stages.train.processes import REJECTED, end_with_parent
from crm_spark.stages.train.readers import read_rows
from crm_spark.stages.train.shard_reader import ShardReader
from crm_spark.text.encoder import encoder_dir
from crm_spark.text.manifest import VALIDATION, read_manifest
from crm_spark.text.model import TextClassifier, load_model, pretrained


def main() -> None:
    """A rank that the stage started."""
    end_with_parent()
    parser = argparse.ArgumentParser()
    parser.add_argument("--spec", required=True)
    train_rank(json.loads(Path(parser.parse_args().spec).read_text()))


def train_rank(spec: dict[str, Any], store: dist.Store | None = None, threads: int | None = None) -> None:
    """Trains on this rank's part of the shards; rank 0 evaluates and leaves the model's files.

    Args:
        spec: settings (`config`), folders (`shards`, `out`, `current`, `teacher`), `seed` and `labels`.
        store: where the ranks meet; null: where the environment says.
        threads: of this rank; null: it shares the machine's cores with the others there.
    """
    cfg, shards, out = TrainConfig(**spec["config"]), Path(spec["shards"]), Path(spec["out"])
    rank, world_size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
    cores = len(os.sched_getaffinity(0))
    torch.set_num_threads(threads or max(1, cores // int(os.environ["LOCAL_WORLD_SIZE"])))
    device = _device()
    seed_everything(spec["seed"], is_deterministic=device.type == "cpu")
    manifest = read_manifest(shards)
    # Before the first collective: unequal steps would leave the last rank waiting for ever.
    reader = ShardReader(shards, manifest, cfg, spec["seed"], rank, world_size)
    reader.require_equal_steps()
    validation = [read_rows(shards / file.name) for file in manifest.of(VALIDATION)[rank::world_size]]
    teacher = load_model(open_model(Path(spec["teacher"]))) if spec["teacher"] else None
    model = prepared(begun(manifest.encoder, cfg, teacher), cfg, device)
    backend = "nccl" if device.type == "cuda" else "gloo"
    meeting: dict[str, Any] = {} if store is None else {"store": store, "rank": rank, "world_size": world_size}
    dist.init_process_group(backend, timeout=timedelta(seconds=cfg.timeout_seconds), **meeting)
    taught = None if teacher is None else Teacher(packed(teacher.to(device)))
    history = train(model, reader, validation, out, teacher=taught)
    dist.barrier()
    dist.destroy_process_group()
    if rank == 0:
        torch.set_num_threads(threads or cores)
        finish(model, reader, spec, out, history=history)


def _device() -> torch.device:
    """A GPU of its own for each rank, or the processor."""
    if not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", int(os.environ["LOCAL_RANK"]))
    torch.cuda.set_device(device)
    return device


def begun(encoder: str, cfg: TrainConfig, teacher: TextClassifier | None) -> TextClassifier:
    """What the training begins with: the pretrained encoder, or a copy of the teacher, with as many layers as are wanted."""
    model = pretrained(encoder_dir(encoder), pooling=cfg.pooling) if teacher is None else copy.deepcopy(teacher)
    if cfg.num_layers is not None:
        model.keep_layers(cfg.num_layers)
    return model


def packed(model: TextClassifier) -> TextClassifier:
    """The model as it reads fastest on its device."""
    model.use_packing(model.head.weight.is_cuda)
    return model.eval()


def prepared(model: TextClassifier, cfg: TrainConfig, device: torch.device) -> TextClassifier:
    """The model on its device; on a GPU packed and, if wanted, compiled."""
    model = model.to(device)
    model.dropout.p = cfg.dropout
    if device.type == "cuda":
        torch.set_float32_matmul_precision("high")
        packed(model)
        if cfg.compile:
            for layer in model.layers:
                layer.compile(dynamic=True)
    return model


def seed_everything(seed: int, *, is_deterministic: bool) -> None:
    """Seeds all that draws; deterministic: the same weights to the last bit, at the price of speed."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    torch.manual_seed(seed)
    torch.use_deterministic_algorithms(is_deterministic, warn_only=True)


if __name__ == "__main__":
    try:
        main()
    except (CrmError, ValueError) as error:
        # The others end with this one; to start all anew would not help.
        traceback.print_exception(error)
        sys.exit(REJECTED)
