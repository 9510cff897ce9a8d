"""Metrics by source, language and length, and the texts with the highest loss."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet as pq

from crm_spark.stages.train.evaluation import Evaluation, Probabilities, evaluate
from crm_spark.text.labels import LABELS
from crm_spark.text.manifest import ShardManifest

MIN_ROWS, MIN_LANGUAGE_ROWS = 30, 50
"""Smallest number of texts of a slice by source or length, and by language, whose detection has errors of its own."""
_LENGTHS = (32, 64, 128, 256)
"""Upper bounds of the length bands in tokens; each is twice the previous one."""
_FLOOR = 1e-9


def slices_of(shards: Path, manifest: ShardManifest, split: str) -> dict[str, NDArray[Any]]:
    """Return `source`, `language`, `length` and `example_id` of the examples of a split, in shard order without padding."""
    names = ["example_id", "source", "language", "num_tokens", "weight"]
    tables = [pq.read_table(shards / file.name, columns=names) for file in manifest.of(split)]
    columns = {name: np.concatenate([table[name].to_numpy() for table in tables]) for name in names}
    real = columns.pop("weight") > 0
    columns["length"] = np.array([length_band(n) for n in columns.pop("num_tokens")], object)
    return {name: values[real] for name, values in columns.items()}


def length_band(num_tokens: int) -> str:
    """Return the name of the length band of a text."""
    fits = [bound for bound in _LENGTHS if num_tokens <= bound]
    if not fits:
        return f"over {_LENGTHS[-1]} tokens"
    return f"up to {fits[0]} tokens" if fits == [*_LENGTHS] else f"{fits[0] // 2 + 1} to {fits[0]} tokens"


def by_slice(
    probabilities: Probabilities,
    labels: NDArray[np.int64],
    decision: NDArray[np.float64] | None,
    columns: dict[str, NDArray[Any]],
) -> dict[str, Evaluation]:
    """Return the metrics of each slice with enough texts; keys are like `source=reviews`."""
    evaluations = {}
    for name, min_rows in (("source", MIN_ROWS), ("language", MIN_LANGUAGE_ROWS), ("length", MIN_ROWS)):
        for value in sorted(set(columns[name].tolist())):
            chosen = columns[name] == value
            if value and chosen.sum() >= min_rows:
                evaluations[f"{name}={value}"] = evaluate(probabilities[chosen], labels[chosen], decision)
    return evaluations


def highest_losses(
    probabilities: Probabilities, labels: NDArray[np.int64], example_ids: NDArray[Any], *, count: int = 50
) -> list[dict[str, Any]]:
    """Return the misclassified texts with the highest loss (`bits`): model errors or wrong labels."""
    bits = -np.log2(np.clip(probabilities[np.arange(len(labels)), labels], _FLOOR, 1.0))
    return [
        {
            "text_hash": str(example_ids[i]),
            "label": LABELS[labels[i]],
            "predicted_label": LABELS[int(probabilities[i].argmax())],
            "bits": round(float(bits[i]), 3),
        }
        for i in np.argsort(-bits, kind="stable")[:count]
        if probabilities[i].argmax() != labels[i]
    ]
