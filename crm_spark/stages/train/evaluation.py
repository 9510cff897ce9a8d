"""How well texts are read: figures from probabilities and labels, for the model and for its baselines alike."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import confusion_matrix, f1_score

from crm_spark.stages.train.readers import Rows
from crm_spark.text.labels import LABELS
from crm_spark.text.tfidf_baseline import documents, tfidf_classifier

Probabilities = NDArray[np.float64]
_FLOOR = 1e-9


@dataclass(frozen=True)
class Evaluation:
    """Figures on one split; `confusion[i][j]`: texts of label i that were read as j.

    Cross-entropy and calibration are the probabilities'; accuracy, F1 and recall those of the verdict.
    """

    accuracy: float
    macro_f1: float
    cross_entropy_bits: float
    calibration_error: float
    recall: list[float]
    confusion: list[list[int]]
    num_rows: int


def evaluate(
    probabilities: Probabilities, labels: NDArray[np.int64], decision: NDArray[np.float64] | None = None
) -> Evaluation:
    """The figures; probabilities (N, K), labels (N,), decision (K,): the weights of `best_decision`, null: all 1."""
    said = (probabilities if decision is None else probabilities * decision).argmax(1)
    classes = np.arange(len(LABELS))
    confusion = confusion_matrix(labels, said, labels=classes)
    given = np.clip(probabilities[np.arange(len(labels)), labels], _FLOOR, 1.0)
    return Evaluation(
        accuracy=float((said == labels).mean()),
        macro_f1=float(f1_score(labels, said, labels=classes, average="macro", zero_division=0)),
        cross_entropy_bits=float(-np.log2(given).mean()),
        calibration_error=calibration_error(probabilities, labels),
        recall=[float(confusion[k, k] / max(confusion[k].sum(), 1)) for k in classes],
        confusion=confusion.tolist(),
        num_rows=len(labels),
    )


def calibration_error(probabilities: Probabilities, labels: NDArray[np.int64], *, num_bins: int = 15) -> float:
    """Expected calibration error: mean gap between confidence and accuracy over equal-width bins, weighted by size."""
    confidence, hit = probabilities.max(1), probabilities.argmax(1) == labels
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    gaps = [abs(confidence[bins == b].mean() - hit[bins == b].mean()) * (bins == b).sum() for b in np.unique(bins)]
    return float(sum(gaps) / len(labels))


def class_prior(labels: NDArray[np.int64], size: int) -> Probabilities:
    """Always the shares of the training split's labels: the most common verdict wins every time."""
    shares = np.bincount(labels, minlength=len(LABELS)) / len(labels)
    return np.tile(np.clip(shares, _FLOOR, 1.0), (size, 1))


def tfidf_lr(train: Rows, test: Rows, *, seed: int, is_balanced: bool) -> Probabilities:
    """Counting words, one by one and in pairs.

    Args:
        train: what it learns from.
        test: what it reads.
        seed: of the regression.
        is_balanced: rare verdicts weigh more: better macro-F1, worse cross-entropy. Either way is a baseline.
    """
    learned, read = train.weight > 0, test.weight > 0
    model = tfidf_classifier(seed=seed, is_balanced=is_balanced)
    model.fit(documents(train.input_ids[learned], train.num_tokens[learned]), train.label[learned])
    found = model.predict_proba(documents(test.input_ids[read], test.num_tokens[read]))
    result = np.full((len(found), len(LABELS)), _FLOOR)
    result[:, model.classes_] = found
    return result


def best_temperature(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """The temperature with the least cross-entropy on the validation split (Guo et al. 2017)."""
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return evaluate(softmax(logits / np.exp(log_temperature)), labels).cross_entropy_bits

    return float(np.exp(minimize_scalar(loss, bounds=(-1.5, 1.5), method="bounded").x))


def best_decision(probabilities: Probabilities) -> NDArray[np.float64]:
    """Weights (K,) of the labels: the verdict with the largest weighted probability has the best macro-F1 to be expected.

    The likeliest verdict is rarely a rare one, even where many texts together must hold some: it counts them short. What
    is to be expected follows from calibrated probabilities alone (Lipton, Elkan and Naryanaswamy 2014), so a few hundred
    texts without their labels are enough. The first label's weight is 1.
    """
    steps = np.exp(np.linspace(-1.5, 1.5, 31))
    candidates = [np.array((1.0, *rest)) for rest in itertools.product(steps, repeat=probabilities.shape[1] - 1)]
    # Equally good ones: the nearest to no weights at all.
    candidates.sort(key=lambda weights: float(np.abs(np.log(weights)).sum()))
    return max(candidates, key=lambda weights: _expected_macro_f1(probabilities, weights))


def _expected_macro_f1(probabilities: Probabilities, weights: NDArray[np.float64]) -> float:
    said = np.eye(probabilities.shape[1])[(probabilities * weights).argmax(1)]  # (N, K)
    hits = (said * probabilities).sum(0)
    return float((2 * hits / (said.sum(0) + probabilities.sum(0))).mean())


def softmax(logits: NDArray[np.float64]) -> Probabilities:
    """Rows of probabilities."""
    shifted = np.exp(logits - logits.max(1, keepdims=True))
    return np.asarray(shifted / shifted.sum(1, keepdims=True))
