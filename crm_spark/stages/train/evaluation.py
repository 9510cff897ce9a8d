"""Evaluation of text classifiers and baselines: metrics, temperature, decision weights."""

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn.metrics import confusion_matrix, f1_score

from crm_spark.stages.train.readers import Rows
from crm_spark.text.labels import LABELS
from crm_spark.text.tfidf_baseline import documents, tfidf_classifier

Probabilities = NDArray[np.float64]
_FLOOR = 1e-9


@dataclass(frozen=True)
class Evaluation:
    """Metrics on one split; `confusion[i][j]`: number of texts with label i and predicted label j.

    Cross-entropy and calibration error use the probabilities; accuracy, F1 and recall the predicted label.
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
    """Compute the metrics.

    Args:
        probabilities: shape (N, K).
        labels: shape (N,).
        decision: label weights (K,) of `best_decision`; None: all 1.
    """
    predicted = (probabilities if decision is None else probabilities * decision).argmax(1)
    classes = np.arange(len(LABELS))
    confusion = confusion_matrix(labels, predicted, labels=classes)
    p_label = np.clip(probabilities[np.arange(len(labels)), labels], _FLOOR, 1.0)
    return Evaluation(
        accuracy=float((predicted == labels).mean()),
        macro_f1=float(f1_score(labels, predicted, labels=classes, average="macro", zero_division=0)),
        cross_entropy_bits=float(-np.log2(p_label).mean()),
        calibration_error=calibration_error(probabilities, labels),
        recall=[float(confusion[k, k] / max(confusion[k].sum(), 1)) for k in classes],
        confusion=confusion.tolist(),
        num_rows=len(labels),
    )


def calibration_error(probabilities: Probabilities, labels: NDArray[np.int64], *, num_bins: int = 15) -> float:
    """Return the expected calibration error over equal-width confidence bins."""
    confidence, hit = probabilities.max(1), probabilities.argmax(1) == labels
    bins = np.minimum((confidence * num_bins).astype(int), num_bins - 1)
    gaps = [abs(confidence[bins == b].mean() - hit[bins == b].mean()) * (bins == b).sum() for b in np.unique(bins)]
    return float(sum(gaps) / len(labels))


def class_prior(labels: NDArray[np.int64], size: int) -> Probabilities:
    """Return the label frequencies of the training split as constant probabilities, shape (size, K)."""
    shares = np.bincount(labels, minlength=len(LABELS)) / len(labels)
    return np.tile(np.clip(shares, _FLOOR, 1.0), (size, 1))


def tfidf_lr(train: Rows, test: Rows, *, seed: int, is_balanced: bool) -> Probabilities:
    """Return the probabilities of the TF-IDF + logistic regression baseline.

    Args:
        train: training rows.
        test: rows to predict.
        seed: of the regression.
        is_balanced: whether to use balanced class weights: better macro-F1, worse cross-entropy.
    """
    is_train, is_test = train.weight > 0, test.weight > 0
    model = tfidf_classifier(seed=seed, is_balanced=is_balanced)
    try:
        model.fit(documents(train.input_ids[is_train], train.num_tokens[is_train]), train.label[is_train])
    except ValueError:
        # The texts have no words in common: all that can be learned is how frequent the labels are.
        return class_prior(train.label[is_train].astype(np.int64), int(is_test.sum()))
    predicted = model.predict_proba(documents(test.input_ids[is_test], test.num_tokens[is_test]))
    result = np.full((len(predicted), len(LABELS)), _FLOOR)
    result[:, model.classes_] = predicted
    return result


def best_temperature(logits: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Return the temperature with the lowest cross-entropy (temperature scaling, Guo et al. 2017)."""
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return evaluate(softmax(logits / np.exp(log_temperature), axis=1), labels).cross_entropy_bits

    return float(np.exp(minimize_scalar(loss, bounds=(-1.5, 1.5), method="bounded").x))


def best_decision(probabilities: Probabilities) -> NDArray[np.float64]:
    """Return label weights (K,) that maximise the expected macro-F1 of the weighted argmax; the first weight is 1.

    The plain argmax predicts rare labels too seldom. The expected macro-F1 follows from calibrated probabilities without
    labels (Lipton, Elkan and Naryanaswamy 2014), so a few hundred texts suffice.
    """
    steps = np.exp(np.linspace(-1.5, 1.5, 31))
    candidates = [np.array((1.0, *rest)) for rest in itertools.product(steps, repeat=probabilities.shape[1] - 1)]
    # Of equally good weights, prefer those closest to 1.
    candidates.sort(key=lambda weights: float(np.abs(np.log(weights)).sum()))
    return max(candidates, key=lambda weights: _expected_macro_f1(probabilities, weights))


def _expected_macro_f1(probabilities: Probabilities, weights: NDArray[np.float64]) -> float:
    predicted = np.eye(probabilities.shape[1])[(probabilities * weights).argmax(1)]  # (N, K)
    hits = (predicted * probabilities).sum(0)
    return float((2 * hits / (predicted.sum(0) + probabilities.sum(0))).mean())
