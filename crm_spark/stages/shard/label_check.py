"""Find probably wrong labels by confident learning (Northcutt, Jiang and Chuang 2021).

A label is doubtful if out-of-fold predictions give another label with at least the mean probability of that label.
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


class LabelIssue(NamedTuple):
    """A text with a doubtful label.

    Attributes:
        text_hash: of the text.
        label: given by the writer.
        suggested: predicted label.
        p_label: out-of-fold probability of the label.
        p_suggested_label: out-of-fold probability of the predicted label.
    """

    text_hash: str
    label: str
    suggested: str
    p_label: float
    p_suggested_label: float


def label_issues(paths: list[Path], *, max_texts: int, seed: int) -> tuple[int, list[LabelIssue]]:
    """Return the number of checked texts and the label issues, most doubtful first; 0 and none if no check is possible.

    Args:
        paths: shard files, read until `max_texts` texts are found.
        max_texts: maximum number of texts.
        seed: of the folds.
    """
    ids, texts, labels = _first_rows(paths, max_texts)
    values, counts = np.unique(labels, return_counts=True)
    known = np.isin(labels, values[counts >= NUM_FOLDS])
    if len(set(labels[known].tolist())) < 2:
        return 0, []  # with a single label there is nothing to compare
    ids, labels = ids[known], labels[known]
    texts = [text for text, is_known in zip(texts, known) if is_known]
    folds = StratifiedKFold(NUM_FOLDS, shuffle=True, random_state=seed % 2**32)
    model = tfidf_classifier(seed=seed, use_bigrams=False)
    try:
        probabilities = cross_val_predict(model, texts, labels, cv=folds, method="predict_proba")
    except ValueError:
        return 0, []  # the texts have no words in common
    return len(known), _issues(ids, labels, probabilities, np.unique(labels))


def _issues(
    ids: NDArray[np.str_], labels: NDArray[np.int64], probabilities: NDArray[np.float64], classes: NDArray[np.int64]
) -> list[LabelIssue]:
    """Compare probabilities (N, C) with the mean probability of each class (C,)."""
    thresholds = np.array([probabilities[labels == label, k].mean() for k, label in enumerate(classes)])
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    suggested, own = confident.argmax(1), np.searchsorted(classes, labels)
    rows = np.arange(len(labels))
    is_doubtful = (confident[rows, suggested] > 0) & (suggested != own)
    margin = probabilities[rows, own] - probabilities[rows, suggested]
    return [
        LabelIssue(
            str(ids[i]),
            LABELS[labels[i]],
            LABELS[classes[suggested[i]]],
            float(probabilities[i, own[i]]),
            float(probabilities[i, suggested[i]]),
        )
        for i in np.argsort(margin, kind="stable")
        if is_doubtful[i]
    ]


def _first_rows(paths: list[Path], max_texts: int) -> tuple[NDArray[np.str_], list[list[int]], NDArray[np.int64]]:
    """Return id, tokens and label of the texts in the first files, one row per text, without padding."""
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
