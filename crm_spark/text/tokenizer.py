"""Text to token ids with the tokenizer of the encoder, in batches."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from crm_spark.models.registry import ModelVersion

MAX_CHARACTERS = 20_000
"""Longer texts are cut before tokenisation: the rest cannot reach a model with 512 tokens."""
HEAD, HEAD_TAIL, WINDOWS = LONG_TEXTS = "head", "head_tail", "windows"
"""Truncation strategies for long texts: the beginning, beginning and end, or consecutive windows."""
MAX_WINDOWS = 8
MASK_TOKENS = ("[MASK]", "<mask>")
"""Names of the mask token: of BERT, of RoBERTa and XLM-R."""
_HEAD_FRACTION = 0.25
"""Fraction of the tokens taken from the beginning (Sun et al. 2019, How to Fine-Tune BERT for Text Classification?)."""


@cache
def load_tokenizer(folder: Path, max_length: int | None) -> Tokenizer:
    """Load a tokenizer without padding that truncates at `max_length` tokens (None: no truncation)."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    if max_length is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(max_length=max_length)
    return tokenizer


def token_ids(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """Return the token ids of each text including special tokens; never empty."""
    return [
        encoding.ids for encoding in tokenizer.encode_batch_fast([_encodable(text[:MAX_CHARACTERS]) for text in texts])
    ]


def _encodable(text: str) -> str:
    """Replace lone surrogates, which cannot be encoded."""
    return text.encode("utf-8", "replace").decode("utf-8")


class TextTokenizer:
    """Converts texts to rows of token ids.

    Args:
        folder: folder with the tokenizer.
        max_length: maximum tokens per row including special tokens.
        long_texts: truncation strategy, one of LONG_TEXTS.
    """

    def __init__(self, folder: Path, max_length: int, long_texts: str = HEAD):
        self.tokenizer = load_tokenizer(folder, max_length if long_texts == HEAD else None)
        self.max_length, self.long_texts = max_length, long_texts

    def rows(self, texts: list[str]) -> tuple[list[list[int]], NDArray[np.int64]]:
        """Return the rows of all texts and the index of each text's first row, (N,); each text has at least one row."""
        rows_by_text = [self.cut(ids) for ids in token_ids(self.tokenizer, [self.reachable(text) for text in texts])]
        starts = np.cumsum([0, *(len(rows) for rows in rows_by_text[:-1])]) if rows_by_text else np.zeros(0)
        return [row for rows in rows_by_text for row in rows], starts.astype(np.int64)

    def reachable(self, text: str) -> str:
        """Return the part of a text that can reach the model, without lone surrogates."""
        if self.long_texts == HEAD_TAIL and len(text) > MAX_CHARACTERS:
            half = MAX_CHARACTERS // 2
            text = text[:half] + text[-half:]
        return _encodable(text[:MAX_CHARACTERS])

    def cut(self, ids: list[int]) -> list[list[int]]:
        """Split the token ids (or token positions) of one text into rows."""
        if len(ids) <= self.max_length:
            return [ids]
        first, inner, last = ids[0], ids[1:-1], ids[-1]
        capacity = self.max_length - 2
        if self.long_texts == HEAD_TAIL:
            head = int(_HEAD_FRACTION * capacity)
            return [[first, *inner[:head], *inner[head - capacity :], last]]
        starts = range(0, min(len(inner), MAX_WINDOWS * capacity), capacity)
        return [[first, *inner[start : start + capacity], last] for start in starts]


def tokenizer_of(model: ModelVersion) -> TextTokenizer:
    """Return the tokenizer of a model with its training settings."""
    return TextTokenizer(model.folder, int(model.card["max_length"]), model.card.get("long_texts", HEAD))


def mean_of_rows(values: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mean over the rows of each text, (N, K), of values (R, K)."""
    if len(starts) == len(values):
        return values
    counts = np.diff(np.append(starts, len(values)))
    return np.asarray(np.add.reduceat(values, starts) / counts[:, None])
