"""Score texts in a Python worker. The model is verified and loaded once per process."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import softmax

from crm_spark.core.shipping import located
from crm_spark.models.registry import open_model
from crm_spark.stages.score.backends import Backend, Choice, choose, load
from crm_spark.stages.score.config import ScoreConfig
from crm_spark.text.batches import padded
from crm_spark.text.labels import LABELS
from crm_spark.text.tokenizer import mean_of_rows, tokenizer_of

SCHEMA = "text_hash string, label string, " + ", ".join(f"p_{label} double" for label in LABELS)


class Scorer:
    """A loaded model with its tokenizer and calibration."""

    def __init__(self, folder: Path, cfg: ScoreConfig, choice: Choice | None = None):
        model = open_model(folder)
        self.backend: Backend = load(model, cfg, choice or choose(model, cfg))
        self.temperature = float(model.card["temperature"])
        self.decision = np.asarray(model.decision)
        self.tokens = tokenizer_of(model)

    def probabilities(self, texts: list[str]) -> np.ndarray:
        """Return probabilities (N, K), columns in the order of LABELS."""
        if not texts:
            return np.zeros((0, len(LABELS)))
        rows, starts = self.tokens.rows(texts)
        logits = mean_of_rows(self.backend.logits(*padded(rows)).astype(np.float64), starts)
        return softmax(logits / self.temperature, axis=1)


@cache
def cached_scorer(folder: str, cfg: ScoreConfig, choice: Choice | None = None) -> Scorer:
    """Return the scorer of this process, loaded once."""
    return Scorer(located(folder), cfg, choice)


def make_scorer(
    folder: str, cfg: ScoreConfig, choice: Choice | None = None
) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    """Return a function for `mapInPandas`; it is serialised with the model path, not with the model.

    Args:
        folder: of the model, from `shipped`.
        cfg: settings of the score stage.
        choice: engine chosen by the driver for all workers; None: each worker chooses.
    """

    def score(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        scorer = cached_scorer(folder, cfg, choice)
        for window in _windows(frames, cfg.window_rows):
            yield score_window(scorer, window)

    return score


def score_window(scorer: Scorer, window: pd.DataFrame) -> pd.DataFrame:
    """Return text_hash, label and probabilities of the texts of a window."""
    probabilities = scorer.probabilities(window["text"].fillna("").tolist())
    columns: dict[str, Any] = {f"p_{label}": probabilities[:, k] for k, label in enumerate(LABELS)}
    predicted = [LABELS[k] for k in (probabilities * scorer.decision).argmax(1)]
    return pd.DataFrame({"text_hash": window["text_hash"].to_numpy(), "label": predicted, **columns})


def _windows(frames: Iterator[pd.DataFrame], window_rows: int) -> Iterator[pd.DataFrame]:
    """Concatenate frames to windows of at least `window_rows` rows, over which texts are sorted by length."""
    buffer: list[pd.DataFrame] = []
    for frame in frames:
        buffer.append(frame)
        if sum(len(part) for part in buffer) >= window_rows:
            yield pd.concat(buffer, ignore_index=True)
            buffer = []
    if buffer:
        rest = pd.concat(buffer, ignore_index=True)
        if len(rest):
            yield rest
