"""Both encoders of the set-up, fine-tuned on the same labelled texts: quality beside TF-IDF, and time.

`--data` is a folder with a CSV file per language or company, columns `text` and `label` (recommends, does_not_recommend,
no_clear_opinion). A fixed sample of each file is used, drawn by the hash of the text; `--customers` sets the number of
training texts. Nothing here is shipped: the texts are yours.
"""

import argparse
import csv
import json
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.__main__ import Skipped
from benchmarks.figures import OUT, Figure
from crm_spark.core.hashing import sha256_of
from crm_spark.stages.shard.row_groups import group_writer
from crm_spark.stages.shard.token_rows import batch_tokeniser
from crm_spark.stages.train.config import MODEL, TrainConfig
from crm_spark.stages.train.processes import launch
from crm_spark.text.encoder import EMBEDDED, MULTILINGUAL
from crm_spark.text.labels import LABELS
from crm_spark.text.manifest import SPLITS, TEST, TRAIN, VALIDATION, ShardFile, ShardManifest, write_manifest

ENCODERS, SEEDS, MAX_LENGTH, NUM_GROUPS = (EMBEDDED, MULTILINGUAL), (1, 2, 3), 128, 4
NUM_TRAIN, NUM_VALIDATION, NUM_TEST = 2_000, 300, 1_500
OPTIONS: dict[str, Any] = {"num_epochs": 2, "patience": 2, "checkpoint_steps": 10**6, "int8": ()}


def run(arguments: argparse.Namespace) -> list[Figure]:
    """Fine-tune each encoder on each file with three seeds.

    Raises:
        Skipped: there are no labelled texts.
    """
    files = sorted(Path(arguments.data).glob("*.csv")) if arguments.data else []
    if not files:
        raise Skipped("give a folder of CSV files with columns text and label in --data")
    (num_train,) = arguments.customers or [NUM_TRAIN]
    figures: list[Figure] = []
    for file in files:
        texts = sample(file, {TRAIN: num_train, VALIDATION: NUM_VALIDATION, TEST: NUM_TEST})
        for encoder in ENCODERS:
            folder = OUT / "encoders" / file.stem / encoder
            write_shards(folder / "shards", texts, encoder)
            results = [fine_tuned(folder, seed) for seed in SEEDS]
            figures += _figures(f"{file.stem}: {encoder}", results)
    return figures


def sample(file: Path, sizes: dict[str, int]) -> dict[str, list[tuple[str, str]]]:
    """Return different texts and their labels for each split, in an order given by the hash of the text."""
    with file.open(encoding="utf-8", newline="") as lines:
        labelled = {row["text"]: row["label"] for row in csv.DictReader(lines)}
    rows = sorted(labelled.items(), key=lambda row: sha256_of(row[0]))
    test, validation, rest = sizes[TEST], sizes[VALIDATION], sizes[TRAIN]
    parts = rows[:test], rows[test : test + validation], rows[test + validation : test + validation + rest]
    return dict(zip((TEST, VALIDATION, TRAIN), parts))


def write_shards(folder: Path, texts: dict[str, list[tuple[str, str]]], encoder: str) -> None:
    """Write a shard set with four row groups per split."""
    files: list[ShardFile] = []
    for split in SPLITS:
        rows = texts[split][: len(texts[split]) // NUM_GROUPS * NUM_GROUPS]
        columns = {
            "text": [text for text, _ in rows],
            "text_hash": [sha256_of(text) for text, _ in rows],
            "label": [label for _, label in rows],
            "split": [split] * len(rows),
            "source": ["texts"] * len(rows),
            "language": [""] * len(rows),
            "position": list(range(len(rows))),
        }
        read = batch_tokeniser(encoder, max_length=MAX_LENGTH, long_texts="head", seed=1)
        (batch,) = read(iter([pa.RecordBatch.from_pydict(columns)]))
        table = pa.Table.from_batches([batch])
        table = table.set_column(table.schema.get_field_index("input_ids"), "input_ids", batch["input_ids"].flatten())
        table = table.append_column("weight", pa.array(np.ones(len(rows), np.float32)))
        writer = group_writer(str(folder), max_length=MAX_LENGTH, group_rows={split: len(rows) // NUM_GROUPS})
        for group in range(NUM_GROUPS):
            part = table.take(list(range(group, len(rows), NUM_GROUPS)))
            part = part.append_column("group", pa.array([group] * len(part), pa.int32()))
            (entry,) = writer(part).drop_columns("content").to_pylist()
            files.append(ShardFile(**entry))
    classes = {split: {label: sum(each == label for _, each in texts[split]) for label in LABELS} for split in SPLITS}
    write_manifest(ShardManifest(tuple(files), MAX_LENGTH, NUM_GROUPS, encoder, classes, {}, {}), folder)


def fine_tuned(folder: Path, seed: int) -> dict[str, Any]:
    """Fine-tune with one process and return the result."""
    out = folder / f"seed-{seed}"
    out.mkdir(parents=True, exist_ok=True)
    spec = {"shards": str(folder / "shards"), "out": str(out), "seed": seed, "labels": LABELS}
    spec |= {"production": None, "teacher": None, "config": TrainConfig(**OPTIONS).model_dump()}
    (out / "spec.json").write_text(json.dumps(spec))
    launch(out / "spec.json", num_ranks=1, max_seconds=7200, log=out / "train.log")
    result: dict[str, Any] = json.loads((out / "result.json").read_text())
    return result


def _figures(name: str, results: list[dict[str, Any]]) -> list[Figure]:
    figures = []
    for measure, unit in (("macro_f1", "fraction"), ("cross_entropy_bits", "bits")):
        values = [result["test"][MODEL][measure] for result in results]
        spread = f"standard deviation {stdev(values):.3f}, {len(values)} seeds"
        figures.append(Figure(f"{name}: {measure}", mean(values), unit, peer=spread))
        best = {"macro_f1": max, "cross_entropy_bits": min}[measure]
        rivals = [result["test"][key][measure] for result in results for key in ("tfidf_lr", "tfidf_lr_balanced")]
        figures.append(Figure(f"{name}: {measure} of TF-IDF over its tokens", best(rivals), unit))
    rate = mean(result["training"]["examples_seen"] / result["seconds"] for result in results)
    return [*figures, Figure(f"{name}: training", rate, "texts/s")]
