"""BERT-base on a GPU: tokens per second and fraction of peak FLOP/s for scoring and fine-tuning.

The weights are random: they decide what is said of a text, and not how long it takes.
"""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray

from benchmarks.__main__ import Skipped
from benchmarks.figures import Figure
from crm_spark.models.registry import CARD, TOKENIZER, ModelVersion, seal
from crm_spark.stages.score.backends import TorchBackend
from crm_spark.stages.train.config import TrainConfig
from crm_spark.stages.train.loop import train
from crm_spark.stages.train.shard_reader import ShardReader
from crm_spark.stages.train.worker import prepare_model
from crm_spark.text.encoder import encoder_dir
from crm_spark.text.labels import LABELS
from crm_spark.text.manifest import TRAIN, ShardFile, ShardManifest
from crm_spark.text.model import TextClassifier, pretrained, save_model

MAX_LENGTH, GROUP_ROWS, NUM_GROUPS = 128, 2048, 32
DENSE_BF16_TFLOPS = 790.0
"""Dense bf16 peak of an H100 or H200."""


def run(arguments: argparse.Namespace) -> list[Figure]:
    """Score 262,144 texts and train on 65,536 texts with a mean of 77 tokens.

    Raises:
        Skipped: there is no GPU.
    """
    if not torch.cuda.is_available():
        raise Skipped("no GPU is here")
    with tempfile.TemporaryDirectory() as folder:
        model_version = bert_base(Path(folder))
        figures = [Figure("matrix product 8192 x 8192 x 8192, bf16", peak_tflops(), "TFLOP/s")]
        figures += scoring(model_version, name="BERT-base", target=("2290000", "0.5"))
        embedded = sealed(pretrained(encoder_dir("embedded")), Path(folder) / "embedded")
        figures += scoring(embedded, name="embedded encoder", target=("9000000", "0.25"))
        figures += [
            *training(model_version, Path(folder), batch_rows=512),
            *training(model_version, Path(folder), batch_rows=1024),
        ]
    return figures


def bert_base(folder: Path) -> ModelVersion:
    """Return a BERT-base model version with random weights."""
    from transformers import BertConfig, BertModel

    torch.manual_seed(1)
    encoder = BertModel(BertConfig(), add_pooling_layer=False)
    encoder.save_pretrained(folder / "encoder")
    return sealed(TextClassifier(encoder), folder)


def sealed(model: TextClassifier, folder: Path) -> ModelVersion:
    """Store a model without training."""
    draft = folder / "draft"
    draft.mkdir(parents=True)
    save_model(model, draft)
    (draft / TOKENIZER).write_bytes((encoder_dir("embedded") / TOKENIZER).read_bytes())
    (draft / CARD).write_text(json.dumps({"temperature": 1.0, "max_length": MAX_LENGTH, "labels": LABELS}))
    return seal(draft, folder / "models")


def lengths_of(count: int) -> NDArray[np.int64]:
    """Return lengths like those of clothing reviews: mean 77, maximum 128 tokens."""
    draw = np.random.default_rng(1).normal(79, 34, count)
    return np.clip(draw, 8, MAX_LENGTH).astype(np.int64)


def flops(lengths: NDArray[np.int64], *, layers: int, hidden: int) -> float:
    """Return the FLOPs of a forward pass without padding: 2 per layer weight, 4h per token pair."""
    weights = 4 * hidden**2 + 2 * hidden * 4 * hidden
    return float(layers * (2 * weights * lengths.sum() + 4 * hidden * (lengths**2).sum()))


def peak_tflops() -> float:
    """Measure a large matrix product."""
    a, b = (torch.randn(8192, 8192, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    for _ in range(3):
        a @ b
    torch.cuda.synchronize()
    started = time.perf_counter()
    for _ in range(20):
        a @ b
    torch.cuda.synchronize()
    return 20 * 2 * 8192**3 / (time.perf_counter() - started) / 1e12


def scoring(
    model_version: ModelVersion,
    *,
    name: str,
    target: tuple[str, str],
    num_rows: int = 262_144,
    max_tokens: int | None = None,
    is_compiled: bool = True,
) -> list[Figure]:
    """Score tokenised texts, including copies to and from the GPU."""
    backend = TorchBackend(model_version, threads=1, max_tokens=max_tokens, is_bf16=True, on_gpu=True)
    if is_compiled:
        backend.compile()
    lengths = lengths_of(num_rows)
    ids = np.random.default_rng(2).integers(1000, 30_000, (num_rows, MAX_LENGTH), dtype=np.int32)
    backend.logits(ids[:8192], lengths[:8192])
    backend.logits(ids[:32_768], lengths[:32_768])
    durations = []
    for _ in range(3):
        started = time.perf_counter()
        for first in range(0, num_rows, 32_768):
            backend.logits(ids[first : first + 32_768], lengths[first : first + 32_768])
        durations.append(time.perf_counter() - started)
    seconds = median(durations)
    config = backend.model.encoder.config
    work = flops(lengths, layers=config.num_hidden_layers, hidden=config.hidden_size)
    share = work / seconds / 1e12 / DENSE_BF16_TFLOPS
    return [
        Figure(f"scoring, {name}: tokens per second", lengths.sum() / seconds, "tokens/s", f">= {target[0]}"),
        Figure(f"scoring, {name}: texts per second", num_rows / seconds, "texts/s"),
        Figure(f"scoring, {name}: fraction of 790 TFLOP/s", share, "fraction", f">= {target[1]}"),
    ]


def training(
    model_version: ModelVersion,
    folder: Path,
    *,
    batch_rows: int = 1024,
    max_tokens: int | None = None,
    is_compiled: bool = True,
) -> list[Figure]:
    """Train one epoch; the first half of the steps is the warm-up."""
    manifest = shards(folder / f"shards-{batch_rows}")
    if not dist.is_initialized():
        dist.init_process_group("nccl", store=dist.HashStore(), rank=0, world_size=1)
    cfg = TrainConfig(
        batch_rows=batch_rows, max_tokens=max_tokens, reader="direct", checkpoint_steps=10**6, window_rows=GROUP_ROWS,
        compile=is_compiled,
    )  # fmt: skip
    model = prepare_model(pretrained(folder / "encoder"), cfg, torch.device("cuda", 0))
    reader = ShardReader(folder / f"shards-{batch_rows}", manifest, cfg, seed=1, rank=0, world_size=1)
    history = train(model, reader, [], folder / f"out-{time.time_ns()}")
    rate = median(history.rates[len(history.rates) // 2 :])
    lengths = lengths_of(GROUP_ROWS * NUM_GROUPS)
    each = 3 * flops(lengths, layers=12, hidden=768) / lengths.sum()
    name = f"fine-tuning, BERT-base, {batch_rows} texts per step"
    return [
        Figure(f"{name}: tokens per second", rate, "tokens/s", ">= 610000"),
        Figure(f"{name}: fraction of 790 TFLOP/s", rate * each / 1e12 / DENSE_BF16_TFLOPS, "fraction", ">= 0.4"),
        Figure(f"{name}: peak memory", torch.cuda.max_memory_allocated() / 2**30, "GiB"),
    ]


def shards(folder: Path) -> ShardManifest:
    """Write a shard set of random tokens."""
    import pyarrow as pa
    from pyarrow import parquet as pq

    draw, lengths, files = np.random.default_rng(3), lengths_of(GROUP_ROWS * NUM_GROUPS), []
    (folder / TRAIN).mkdir(parents=True, exist_ok=True)
    for group in range(NUM_GROUPS):
        ids = draw.integers(1000, 30_000, (GROUP_ROWS, MAX_LENGTH), dtype=np.int32)
        table = pa.table(
            {
                "input_ids": pa.array(list(ids), pa.list_(pa.int32())),
                "num_tokens": pa.array(lengths[group * GROUP_ROWS :][:GROUP_ROWS].astype(np.int32)),
                "label": pa.array(draw.integers(0, len(LABELS), GROUP_ROWS).astype(np.int32)),
                "weight": pa.array(np.ones(GROUP_ROWS, np.float32)),
            }
        )
        name = f"{TRAIN}/{group:05d}.parquet"
        pq.write_table(table, folder / name, row_group_size=GROUP_ROWS)
        files.append(ShardFile(name, TRAIN, "", GROUP_ROWS, GROUP_ROWS))
    return ShardManifest(tuple(files), MAX_LENGTH, 4, "", {TRAIN: {}}, {}, {})


if __name__ == "__main__":
    from benchmarks.figures import publish

    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    publish("gpu", run(argparse.Namespace()))
