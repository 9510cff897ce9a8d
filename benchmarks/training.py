"""CPU fine-tuning compared with a standard tutorial loop: CPU time of one epoch on one thread, interleaved.

R is 128 over the mean number of real tokens: padding alone makes so much of the ratio. Then two ranks of a thread each
against one, as the stage starts them: real tokens a second of the loop.
"""

import argparse
import json
import os
import resource
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.distributed as dist
from torch.nn.functional import cross_entropy

from benchmarks.figures import Figure
from crm_spark.models.registry import sha256_of_file
from crm_spark.stages.train.config import TrainConfig
from crm_spark.stages.train.loop import train
from crm_spark.stages.train.processes import launch
from crm_spark.stages.train.readers import Rows, concatenate, read_rows
from crm_spark.stages.train.shard_reader import ShardReader
from crm_spark.text.encoder import encoder_dir
from crm_spark.text.hardware import BF16, cpu_flags
from crm_spark.text.labels import LABELS
from crm_spark.text.manifest import TEST, TRAIN, VALIDATION, ShardFile, ShardManifest, write_manifest
from crm_spark.text.model import pretrained

MAX_LENGTH, NUM_GROUPS, GROUP_ROWS, BATCH_ROWS, NUM_ROUNDS = 128, 4, 256, 32, 3
RANKS_BATCH_ROWS, RANKS_EPOCHS = 64, 3
"""Global batch size, as used by the stage for enough texts; start-up cost is small in comparison."""


def run(arguments: argparse.Namespace) -> list[Figure]:
    """Run three rounds of one epoch over 1,024 texts with the tutorial loop and with the training loop of the suite."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    with tempfile.TemporaryDirectory() as folder:
        manifest = shards(Path(folder))
        rows = concatenate([read_rows(Path(folder) / file.name) for file in manifest.of(TRAIN)])
        naive, ours = [], []
        for number in range(NUM_ROUNDS):
            naive.append(_cpu_seconds(lambda: naive_pass(rows)))
            ours.append(_cpu_seconds(lambda: our_pass(Path(folder), manifest, number)))  # noqa: B023
        over_one = two_ranks_over_one(Path(folder))
    dist.destroy_process_group()
    ratio = MAX_LENGTH / float(rows.num_tokens.mean())
    over = median(slow / fast for slow, fast in zip(naive, ours))
    return [
        Figure("R: 128 over the mean number of tokens", ratio, "ratio"),
        Figure("naive loop: texts a second of one core", len(rows) / median(naive), "texts/s"),
        Figure("ours: texts a second of one core", len(rows) / median(ours), "texts/s"),
        Figure("ours over the naive loop, in R", over / ratio, "R", ">= 2.1" if BF16 & cpu_flags() else ">= 0.95", "naive"),
        Figure(f"two ranks relative to one, tokens per second, steps of {RANKS_BATCH_ROWS}", over_one, "ratio", ">= 1.8", "one rank"),
    ]  # fmt: skip


def shards(folder: Path) -> ShardManifest:
    """Write random tokens with lengths like clothing reviews: mean 77, maximum 128; few rows in the other splits."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    draw, files = np.random.default_rng(3), []
    for split, num_rows in ((TRAIN, GROUP_ROWS), (VALIDATION, 8), (TEST, 8)):
        (folder / split).mkdir()
        for group in range(NUM_GROUPS):
            lengths = np.clip(draw.normal(79, 34, num_rows), 8, MAX_LENGTH).astype(np.int32)
            ids = draw.integers(1000, 30_000, (num_rows, MAX_LENGTH), dtype=np.int32)
            columns = {
                "example_id": [f"{split}-{group}-{row}" for row in range(num_rows)],
                "source": ["reviews"] * num_rows,
                "language": ["en"] * num_rows,
                "input_ids": list(np.where(np.arange(MAX_LENGTH) < lengths[:, None], ids, 0)),
                "num_tokens": lengths,
                "label": draw.integers(0, 3, num_rows).astype(np.int32),
                "weight": np.ones(num_rows, np.float32),
            }
            path = folder / split / f"{group:05d}.parquet"
            pq.write_table(pa.table(columns), path, row_group_size=num_rows)
            files.append(ShardFile(f"{split}/{path.name}", split, sha256_of_file(path), num_rows, num_rows))
    manifest = ShardManifest(tuple(files), MAX_LENGTH, NUM_GROUPS, "embedded", {TRAIN: {}}, {}, {})
    write_manifest(manifest, folder)
    return manifest


def two_ranks_over_one(folder: Path) -> float:
    """Return the tokens per second of two ranks relative to one, with one core per rank; median of interleaved rounds."""
    cores = os.sched_getaffinity(0)
    rates: dict[int, list[float]] = {1: [], 2: []}
    for number in range(2 * NUM_ROUNDS):
        num_ranks = 1 + number % 2
        out = folder / f"ranks-{number}"
        out.mkdir()
        spec = {
            "shards": str(folder),
            "out": str(out),
            "seed": 1,
            "labels": LABELS,
            "production": None,
            "teacher": None,
        }
        cfg = TrainConfig(
            batch_rows=RANKS_BATCH_ROWS,
            num_epochs=RANKS_EPOCHS,
            patience=RANKS_EPOCHS,
            checkpoint_steps=10**6,
            int8=(),
        )
        (out / "spec.json").write_text(json.dumps({**spec, "config": cfg.model_dump()}))
        os.sched_setaffinity(0, sorted(cores)[:num_ranks])
        launch(out / "spec.json", num_ranks=num_ranks, max_seconds=600, log=out / "train.log")
        os.sched_setaffinity(0, cores)
        result = json.loads((out / "result.json").read_text())
        rates[num_ranks].append(result["training"]["tokens_seen"] / result["seconds"])
    return median(two / one for one, two in zip(rates[1], rates[2]))


def naive_pass(rows: Rows) -> None:
    """Train one epoch with a tutorial loop: shuffled batches padded to 128 tokens, default AdamW."""
    from transformers import AutoModelForSequenceClassification

    folder = str(encoder_dir("embedded"))
    model = AutoModelForSequenceClassification.from_pretrained(folder, num_labels=len(LABELS)).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=6e-5)
    order = np.random.default_rng(1).permutation(len(rows))
    for first in range(0, len(rows), BATCH_ROWS):
        part = rows.take(order[first : first + BATCH_ROWS])
        mask = (np.arange(MAX_LENGTH) < part.num_tokens[:, None]).astype(np.int64)
        logits = model(torch.from_numpy(part.input_ids.astype(np.int64)), torch.from_numpy(mask)).logits
        loss = cross_entropy(logits, torch.from_numpy(part.label.astype(np.int64)))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()


def our_pass(folder: Path, manifest: ShardManifest, number: int) -> None:
    """Train one epoch with the training loop of the suite, including petastorm."""
    cfg = TrainConfig(batch_rows=BATCH_ROWS, num_epochs=1, checkpoint_steps=10**6)
    model = pretrained(encoder_dir("embedded"), pooling=cfg.pooling)
    train(model, ShardReader(folder, manifest, cfg, 1, 0, 1), [], folder / f"out-{number}")


def _cpu_seconds(work: object) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF)
    assert callable(work)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
