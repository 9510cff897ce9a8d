"""Finalise a training run: calibration, test metrics, model card and model files."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import softmax

from crm_spark.models.registry import CARD, TOKENIZER, open_model, sha256_of_file
from crm_spark.stages.train.config import MODEL, TrainConfig
from crm_spark.stages.train.evaluation import (
    Evaluation,
    best_decision,
    best_temperature,
    class_prior,
    evaluate,
    tfidf_lr,
)
from crm_spark.stages.train.loop import logits_of
from crm_spark.stages.train.onnx_export import export_graphs
from crm_spark.stages.train.progress import History
from crm_spark.stages.train.readers import Rows, concatenate, read_rows
from crm_spark.stages.train.shard_reader import ShardReader
from crm_spark.stages.train.slices import by_slice, highest_losses, slices_of
from crm_spark.text.encoder import LICENCES, encoder_dir
from crm_spark.text.labels import LABELS
from crm_spark.text.manifest import SPLITS, TEST, TRAIN, VALIDATION, ShardManifest
from crm_spark.text.model import TextClassifier, load_model, save_model, uses_bf16


class Split(NamedTuple):
    """Examples of a split without padding: R rows of N texts.

    Attributes:
        rows: shard rows.
        text: index of the text of each row, (R,).
        label: of each text, (N,).
        columns: `source`, `language`, `length` and `example_id` of each text.
    """

    rows: Rows
    text: NDArray[np.int64]
    label: NDArray[np.int64]
    columns: dict[str, NDArray[Any]]

    def by_text(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the mean over the rows of each text, (N, K), of values (R, K)."""
        if len(self.label) == len(values):
            return values
        sums = np.zeros((len(self.label), values.shape[1]))
        np.add.at(sums, self.text, values)
        return sums / np.bincount(self.text)[:, None]


def split_of(shards: Path, manifest: ShardManifest, split: str) -> Split:
    """Read the examples of a split without padding rows."""
    rows = concatenate([read_rows(shards / file.name) for file in manifest.of(split)])
    rows, columns = rows.take(np.flatnonzero(rows.weight > 0)), slices_of(shards, manifest, split)
    _, first, text = np.unique(columns["example_id"], return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))  # texts in order of first occurrence
    first = np.sort(first)
    return Split(rows, rank[text], rows.label[first].astype(np.int64), {k: v[first] for k, v in columns.items()})


def finalise(model: TextClassifier, reader: ShardReader, spec: dict[str, Any], out: Path, *, history: History) -> None:
    """Calibrate on the validation split, evaluate on the test split, write `model/` and `result.json`.

    A search trial writes only its validation cross-entropy.
    """
    if spec.get("is_trial"):
        (out / "result.json").write_text(json.dumps({"validation_bits": min(history.validation_losses)}))
        return
    shards, manifest, cfg = reader.folder, reader.manifest, reader.cfg
    splits = {name: split_of(shards, manifest, name) for name in SPLITS}
    labels = {name: split.label for name, split in splits.items()}
    logits = {name: splits[name].by_text(logits_of(model, splits[name].rows, cfg)) for name in (VALIDATION, TEST)}
    temperature = best_temperature(logits[VALIDATION], labels[VALIDATION])
    probabilities = softmax(logits[TEST] / temperature, axis=1)
    decision = best_decision(softmax(logits[VALIDATION] / temperature, axis=1)) if cfg.decision == "macro_f1" else None
    columns = splits[TEST].columns
    figures = {
        MODEL: evaluate(probabilities, labels[TEST], decision),
        **_baselines(splits[TRAIN], splits[TEST], seed=spec["seed"]),
    }
    production = evaluate_production(spec["production"], manifest, splits[TEST], cfg, model.head.weight.device)
    card: dict[str, Any] = {
        "temperature": temperature,
        "decision": [1.0] * len(LABELS) if decision is None else decision.tolist(),
        "labels": list(spec["labels"]),
        "encoder": manifest.encoder,
        "pooling": model.pooling,
        "max_length": manifest.max_length,
        "long_texts": manifest.long_texts,
        "examples": manifest.classes,
        "test": {name: asdict(figure) for name, figure in figures.items()},
        "test_likeliest": asdict(evaluate(probabilities, labels[TEST])),
        "test_slices": {
            name: asdict(f) for name, f in by_slice(probabilities, labels[TEST], decision, columns).items()
        },
        "highest_losses": highest_losses(probabilities, labels[TEST], columns["example_id"]),
        "training": {
            "config": cfg.model_dump(),
            "seed": spec["seed"],
            "steps": len(history.losses),
            "batch_rows": reader.batch_rows,
            "examples_seen": len(history.losses) * reader.batch_rows,
            "tokens_seen": history.num_tokens,
            "curve": _curve(history.losses),
            "best_epoch": history.best_epoch + 1,
            "validation_bits": history.validation_losses,
            "ranks": reader.world_size,
            "precision": "bf16" if uses_bf16(cfg.precision) else "fp32",
        },
        "made_from": manifest.inputs,
        "purpose": "Classify customer texts: recommends, does not recommend, no clear opinion.",
        "licence": LICENCES.get(manifest.encoder, f"See the licence of the encoder {manifest.encoder}."),
    }
    draft = out / "model"
    draft.mkdir(parents=True, exist_ok=True)
    save_model(model.cpu(), draft)
    (draft / TOKENIZER).write_bytes((encoder_dir(manifest.encoder) / TOKENIZER).read_bytes())
    agreement = export_graphs(model, splits[VALIDATION].rows, draft, int8=cfg.int8)
    (draft / CARD).write_text(json.dumps(card, indent=1, sort_keys=True))
    # The result of the production model is not part of the model card.
    test = {**card["test"], **{name: asdict(figure) for name, figure in production.items()}}
    result = {**card, "test": test, "int8_agreement": agreement, "seconds": history.seconds, "losses": history.losses}
    (out / "result.json").write_text(json.dumps(result))


def _baselines(train: Split, test: Split, *, seed: int) -> dict[str, Evaluation]:
    """Return the test metrics of the baselines."""
    baselines = {"class_prior": evaluate(class_prior(train.label, len(test.label)), test.label)}
    for name, is_balanced in (("tfidf_lr", False), ("tfidf_lr_balanced", True)):
        predicted = tfidf_lr(train.rows, test.rows, seed=seed, is_balanced=is_balanced)
        baselines[name] = evaluate(test.by_text(predicted), test.label)
    return baselines


def evaluate_production(
    folder: str | None, manifest: ShardManifest, test: Split, cfg: TrainConfig, device: torch.device
) -> dict[str, Evaluation]:
    """Return the test metrics of the model in production; empty without one or if its tokenizer differs."""
    if not folder:
        return {}
    model_version = open_model(Path(folder))
    tokenizer = encoder_dir(manifest.encoder) / TOKENIZER
    if sha256_of_file(model_version.folder / TOKENIZER) != sha256_of_file(tokenizer):
        return {}
    model = load_model(model_version).to(device)
    model.use_packing(device.type == "cuda")
    probabilities = softmax(test.by_text(logits_of(model, test.rows, cfg)) / model_version.card["temperature"], axis=1)
    return {"production": evaluate(probabilities, test.label, np.asarray(model_version.decision))}


def _curve(losses: list[float], *, points: int = 40) -> list[list[float]]:
    """Return [last step, mean loss in bits] of up to `points` intervals of equal length."""
    parts = np.array_split(np.asarray(losses), min(points, len(losses)))
    ends = np.cumsum([len(part) for part in parts])
    return [[int(end), round(float(part.mean()), 4)] for end, part in zip(ends, parts)]
