"""Labels that may be wrong: somebody liked it and clicked one star. Found by reading each text without its own label.

Confident learning (Northcutt, Jiang and Chuang 2021): a model that has not seen a text is sure of another verdict, as sure
as it usually is where that verdict is the label.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet as pq
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from crm_spark.text.labels import LABELS
from crm_spark.text.tfidf_baseline import documents, tfidf_classifier

NUM_FOLDS = 3
_COLUMNS = ["example_id", "input_ids", "num_tokens", "label"]


class Doubt(NamedTuple):
    """A text whose label is doubtful.

    Attributes:
        text_hash: of the text.
        label: what its writer gave.
        suggested: what the words say.
        p_label: probability of the label, by a model that has not seen the text.
        p_suggested_label: probability of the other.
    """

    text_hash: str
    label: str
    suggested: str
    p_label: float
    p_suggested_label: float


def label_issues(paths: list[Path], *, max_texts: int, seed: int) -> tuple[int, list[Doubt]]:
    """How many texts were read, and those among them whose label is doubtful, the most doubtful first.

    Args:
        paths: shard files; as many are read as hold `max_texts` texts.
        max_texts: at most.
        seed: of the folds.
    """
    ids, texts, labels = _first_rows(paths, max_texts)
    values, counts = np.unique(labels, return_counts=True)
    known = np.isin(labels, values[counts >= NUM_FOLDS])
    if len(set(labels[known].tolist())) < 2:
        return len(labels), []
    ids, labels = ids[known], labels[known]
    texts = [text for text, is_known in zip(texts, known) if is_known]
    folds = StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=seed % 2**32)
    model = tfidf_classifier(seed=seed, use_bigrams=False)
    found = cross_val_predict(model, texts, labels, cv=folds, method="predict_proba")
    return len(known), _doubts(ids, labels, found, np.unique(labels))


def _doubts(
    ids: NDArray[np.str_], labels: NDArray[np.int64], found: NDArray[np.float64], classes: NDArray[np.int64]
) -> list[Doubt]:
    """By the probabilities (N, C) of the classes (C,)."""
    usual = np.array([found[labels == label, k].mean() for k, label in enumerate(classes)])
    sure = np.where(found >= usual, found, -1.0)
    suggested, own = sure.argmax(1), np.searchsorted(classes, labels)
    rows = np.arange(len(labels))
    is_doubtful = (sure[rows, suggested] > 0) & (suggested != own)
    margin = found[rows, own] - found[rows, suggested]
    return [
        Doubt(
            str(ids[i]),
            LABELS[labels[i]],
            LABELS[classes[suggested[i]]],
            float(found[i, own[i]]),
            float(found[i, suggested[i]]),
        )
        for i in np.argsort(margin, kind="stable")
        if is_doubtful[i]
    ]


def _first_rows(paths: list[Path], max_texts: int) -> tuple[NDArray[np.str_], list[list[int]], NDArray[np.int64]]:
    """Id, tokens and label of the texts in the first files, padding left out; of a text in several rows one."""
    ids: list[str] = []
    texts: list[list[int]] = []
    labels: list[int] = []
    seen: set[str] = set()
    for path in paths:
        table = pq.read_table(path, columns=_COLUMNS)
        tokens = np.stack(table["input_ids"].to_numpy())
        rows = zip(table["example_id"].to_pylist(), documents(tokens, table["num_tokens"].to_numpy()), table["label"])
        for example, text, label in rows:
            if example and example not in seen and len(ids) < max_texts:
                seen.add(example)
                ids.append(example)
                texts.append(text)
                labels.append(label.as_py())
        if len(ids) >= max_texts:
            break
    return np.array(ids), texts, np.array(labels, np.int64)
