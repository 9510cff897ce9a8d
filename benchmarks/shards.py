"""Cost of petastorm: rows per second of both readers, and its fraction of a training step."""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch

from benchmarks.figures import Figure
from crm_spark.stages.train.petastorm_reader import row_groups
from crm_spark.stages.train.readers import direct_row_groups
from crm_spark.text.encoder import encoder_dir
from crm_spark.text.model import pretrained

NUM_GROUPS, GROUP_ROWS, LENGTH = 16, 512, 128
BATCH_ROWS = 16


def run(arguments: argparse.Namespace) -> list[Figure]:
    """Run five interleaved rounds of both readers, then measure a training step of the embedded encoder."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        paths = write(Path(folder))
        rates: dict[str, list[float]] = {"petastorm": [], "direct": []}
        for seed in range(1, 7):
            for name, reader in (("petastorm", row_groups), ("direct", direct_row_groups)):
                rates[name].append(rate(reader, paths, seed))
    through, direct = (median(rates[name][1:]) for name in ("petastorm", "direct"))  # skip the warm-up round
    step = step_seconds()
    return [
        Figure("petastorm", through, "rows/s"),
        Figure("direct reader", direct, "rows/s"),
        Figure("petastorm over direct", through / direct, "ratio", peer="direct reader"),
        Figure("training step, 16 rows of 77 tokens, 1 thread", step * 1000, "ms"),
        Figure("petastorm's share of a training step", BATCH_ROWS / through / step, "fraction", "<= 0.03"),
    ]


def write(folder: Path) -> list[Path]:
    """Write shard files of random tokens."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    draw, paths = np.random.default_rng(1), []
    for group in range(NUM_GROUPS):
        ids = draw.integers(1000, 30_000, (GROUP_ROWS, LENGTH)).astype(np.int32)
        table = pa.table(
            {
                "input_ids": pa.array(list(ids), pa.list_(pa.int32())),
                "num_tokens": pa.array(np.full(GROUP_ROWS, LENGTH, np.int32)),
                "label": pa.array(np.zeros(GROUP_ROWS, np.int32)),
                "weight": pa.array(np.ones(GROUP_ROWS, np.float32)),
            }
        )
        paths.append(folder / f"{group:05d}.parquet")
        pq.write_table(table, paths[-1], row_group_size=GROUP_ROWS)
    return paths


def rate(reader: Any, paths: list[Path], seed: int) -> float:
    """Return the rows per second of one epoch."""
    started = time.perf_counter()
    rows = sum(len(group) for group in reader(paths, reader_shard=0, num_reader_shards=1, seed=seed))
    assert rows == NUM_GROUPS * GROUP_ROWS
    return rows / (time.perf_counter() - started)


def step_seconds() -> float:
    """Return the median time of a training step."""
    model = pretrained(encoder_dir("embedded")).train()
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    tokens = torch.randint(1000, 30_000, (BATCH_ROWS, 77))
    mask, label = torch.ones_like(tokens), torch.zeros(BATCH_ROWS, dtype=torch.int64)
    durations = []
    for _ in range(6):
        started = time.perf_counter()
        loss = torch.nn.functional.cross_entropy(model(tokens, mask), label)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        optimiser.step()
        durations.append(time.perf_counter() - started)
    return median(durations[1:])
