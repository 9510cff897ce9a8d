"""Reads texts in a Python worker: the bundle is verified and loaded once per process, texts of like length go together."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from crm_spark.text.batches import padded, token_batches
from crm_spark.text.labels import LABELS
from crm_spark.text.tokenise import load_tokenizer, token_ids

SCHEMA = "text_hash string, label string, " + ", ".join(f"p_{label} double" for label in LABELS)


class Scorer:
    """A loaded bundle."""

    def __init__(self, folder: Path, *, threads: int, max_tokens: int, precision: str = "fp32"):
        import torch

        from crm_spark.text.bundle import open_bundle
        from crm_spark.text.model import load_model, uses_bf16

        torch.set_num_threads(threads)
        bundle = open_bundle(folder)
        self.model, self.max_tokens = load_model(bundle), max_tokens
        self.is_bf16 = uses_bf16(precision)
        self.temperature = float(bundle.card["temperature"])
        self.tokenizer = load_tokenizer(folder, int(bundle.card["max_length"]))

    def probabilities(self, texts: list[str]) -> np.ndarray:
        """One row of probabilities for each text, in the order of LABELS; shape (N, K)."""
        import torch

        ids = token_ids(self.tokenizer, texts)
        result = np.zeros((len(texts), len(LABELS)))
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=self.is_bf16):
            for positions in token_batches([len(row) for row in ids], max_tokens=self.max_tokens):
                tokens, mask = padded([ids[i] for i in positions])
                logits = self.model(torch.from_numpy(tokens), torch.from_numpy(mask)).double()
                result[positions] = torch.softmax(logits / self.temperature, dim=1).numpy()
        return result


@cache
def cached_scorer(folder: str, threads: int, max_tokens: int, precision: str) -> Scorer:
    """The scorer of this process."""
    return Scorer(Path(folder), threads=threads, max_tokens=max_tokens, precision=precision)


def make_scorer(
    folder: str, *, threads: int, max_tokens: int, window_rows: int, precision: str = "fp32"
) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    """A small recipe that travels to the workers; the model does not."""

    def score(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        scorer = cached_scorer(folder, threads, max_tokens, precision)
        for window in _windows(frames, window_rows):
            yield scored(scorer, window)

    return score


def scored(scorer: Scorer, window: pd.DataFrame) -> pd.DataFrame:
    """text_hash, label and probabilities of the texts of a window."""
    found = scorer.probabilities(window["text"].fillna("").tolist())
    columns: dict[str, Any] = {f"p_{label}": found[:, k] for k, label in enumerate(LABELS)}
    said = [LABELS[k] for k in found.argmax(1)]
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
