"""Reads texts in a Python worker: the model is verified and loaded once per process, texts of like length go together."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from crm_spark.models.registry import open_model
from crm_spark.stages.score.backends import Backend, Choice, choose, load
from crm_spark.stages.score.config import ScoreConfig
from crm_spark.text.batches import padded
from crm_spark.text.labels import LABELS
from crm_spark.text.tokenise import mean_of_rows, tokens_of

SCHEMA = "text_hash string, label string, " + ", ".join(f"p_{label} double" for label in LABELS)


class Scorer:
    """A loaded model."""

    def __init__(self, folder: Path, cfg: ScoreConfig, choice: Choice | None = None):
        model = open_model(folder)
        self.backend: Backend = load(model, cfg, choice or choose(model, cfg))
        self.temperature = float(model.card["temperature"])
        self.decision = np.asarray(model.decision)
        self.tokens = tokens_of(model)

    def probabilities(self, texts: list[str]) -> np.ndarray:
        """One row of probabilities for each text, in the order of LABELS; shape (N, K)."""
        if not texts:
            return np.zeros((0, len(LABELS)))
        rows, starts = self.tokens.rows(texts)
        logits = mean_of_rows(self.backend.logits(*padded(rows)).astype(np.float64), starts)
        return softmax(logits / self.temperature, axis=1)


@cache
def cached_scorer(folder: str, cfg: ScoreConfig, choice: Choice | None = None) -> Scorer:
    """The scorer of this process."""
    return Scorer(Path(folder), cfg, choice)


def make_scorer(
    folder: str, cfg: ScoreConfig, choice: Choice | None = None
) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    """A small recipe that travels to the workers; the model does not.

    Args:
        folder: the model's.
        cfg: of the scoring.
        choice: the engine that the driver chose for all; null: each worker chooses.
    """

    def score(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        scorer = cached_scorer(folder, cfg, choice)
        for window in _windows(frames, cfg.window_rows):
            yield scored(scorer, window)

    return score


def scored(scorer: Scorer, window: pd.DataFrame) -> pd.DataFrame:
    """text_hash, label and probabilities of the texts of a window."""
    found = scorer.probabilities(window["text"].fillna("").tolist())
    columns: dict[str, Any] = {f"p_{label}": found[:, k] for k, label in enumerate(LABELS)}
    said = [LABELS[k] for k in (found * scorer.decision).argmax(1)]
    return pd.DataFrame({"text_hash": window["text_hash"].to_numpy(), "label": said, **columns})


def _windows(frames: Iterator[pd.DataFrame], window_rows: int) -> Iterator[pd.DataFrame]:
    """Frames joined until a window is full: sorting by length pays over many texts."""
    waiting: list[pd.DataFrame] = []
    for frame in frames:
        waiting.append(frame)
        if sum(len(part) for part in waiting) >= window_rows:
            yield pd.concat(waiting, ignore_index=True)
            waiting = []
    if waiting:
        whole = pd.concat(waiting, ignore_index=True)
        if len(whole):
            yield whole
