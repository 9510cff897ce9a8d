"""Fine-tuning on a processor against the loop of the tutorials: CPU time of one pass on one thread, in turns.

R is 128 over the mean number of real tokens: padding alone makes so much of the ratio.
"""

import argparse
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
from crm_spark.stages.train.config import TrainConfig
from crm_spark.stages.train.loop import train
from crm_spark.stages.train.readers import Rows, joined, read_rows
from crm_spark.stages.train.shard_reader import ShardReader
from crm_spark.text.encoder import encoder_dir
from crm_spark.text.hardware import BF16, cpu_flags
from crm_spark.text.manifest import TRAIN, ShardFile, ShardManifest
from crm_spark.text.model import pretrained

MAX_LENGTH, NUM_GROUPS, GROUP_ROWS, BATCH_ROWS, NUM_ROUNDS = 128, 4, 256, 32, 3


def run(arguments: argparse.Namespace) -> list[Figure]:
    """Three rounds of one pass over 1,024 texts: padded, in any order, plain AdamW; then the suite's loop."""
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    with tempfile.TemporaryDirectory() as folder:
        manifest = shards(Path(folder))
        rows = joined([read_rows(Path(folder) / file.name) for file in manifest.of(TRAIN)])
        naive, ours = [], []
        for number in range(NUM_ROUNDS):
            naive.append(_cpu_seconds(lambda: naive_pass(rows)))
            ours.append(_cpu_seconds(lambda: our_pass(Path(folder), manifest, number)))  # noqa: B023
    dist.destroy_process_group()
    ratio = MAX_LENGTH / float(rows.num_tokens.mean())
    over = median(slow / fast for slow, fast in zip(naive, ours))
    return [
        Figure("R: 128 over the mean number of tokens", ratio, "ratio"),
        Figure("naive loop: texts a second of one core", len(rows) / median(naive), "texts/s"),
        Figure("ours: texts a second of one core", len(rows) / median(ours), "texts/s"),
        Figure("ours over the naive loop, in R", over / ratio, "R", ">= 2.1" if BF16 & cpu_flags() else ">= 0.95", "naive"),
    ]  # fmt: skip


def shards(folder: Path) -> ShardManifest:
    """Random tokens in the lengths of clothing reviews: 77 in the mean, none over 128."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    draw, files = np.random.default_rng(3), []
    (folder / TRAIN).mkdir()
    for group in range(NUM_GROUPS):
        lengths = np.clip(draw.normal(79, 34, GROUP_ROWS), 8, MAX_LENGTH).astype(np.int32)
        ids = draw.integers(1000, 30_000, (GROUP_ROWS, MAX_LENGTH), dtype=np.int32)
        columns = {
            "input_ids": list(np.where(np.arange(MAX_LENGTH) < lengths[:, None], ids, 0)),
            "num_tokens": lengths,
            "label": draw.integers(0, 3, GROUP_ROWS).astype(np.int32),
            "weight": np.ones(GROUP_ROWS, np.float32),
        }
        name = f"{TRAIN}/{group:05d}.parquet"
        pq.write_table(pa.table(columns), folder / name, row_group_size=GROUP_ROWS)
        files.append(ShardFile(name, TRAIN, "", GROUP_ROWS, GROUP_ROWS))
    return ShardManifest(tuple(files), MAX_LENGTH, NUM_GROUPS, "embedded", {TRAIN: {}}, {}, {})


def naive_pass(rows: Rows) -> None:
    """One epoch as tutorials have it: batches in any order, each text padded to 128 tokens, AdamW as it comes."""
    model = pretrained(encoder_dir("embedded")).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=6e-5)
    order = np.random.default_rng(1).permutation(len(rows))
    for first in range(0, len(rows), BATCH_ROWS):
        part = rows.take(order[first : first + BATCH_ROWS])
        mask = (np.arange(MAX_LENGTH) < part.num_tokens[:, None]).astype(np.int64)
        logits = model(torch.from_numpy(part.input_ids.astype(np.int64)), torch.from_numpy(mask))
        loss = cross_entropy(logits, torch.from_numpy(part.label.astype(np.int64)))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()


def our_pass(folder: Path, manifest: ShardManifest, number: int) -> None:
    """One epoch of the suite's loop, reading through petastorm included."""
    cfg = TrainConfig(batch_rows=BATCH_ROWS, num_epochs=1, checkpoint_steps=10**6)
    model = pretrained(encoder_dir("embedded"), pooling=cfg.pooling)
    train(model, ShardReader(folder, manifest, cfg, 1, 0, 1), [], folder / f"out-{number}")


def _cpu_seconds(work: object) -> float:
    before = resource.getrusage(resource.RUSAGE_SELF)
    assert callable(work)
    work()
    after = resource.getrusage(resource.RUSAGE_SELF)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
