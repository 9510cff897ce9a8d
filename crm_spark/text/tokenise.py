"""Texts to token ids with the encoder's own tokenizer, many texts a call."""

from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from crm_spark.models.registry import ModelVersion

MAX_CHARACTERS = 20_000
"""More than this of a text cannot reach a model that reads 512 tokens; a megabyte is not tokenised to be thrown away."""
HEAD, HEAD_TAIL, WINDOWS = LONG_TEXTS = "head", "head_tail", "windows"
"""What of a text that is longer than the model reads: its beginning; its beginning and its end; all, a window after another."""
MAX_WINDOWS = 8
_HEAD_SHARE = 0.25
"""Of head and tail: a quarter beginning, the rest end (Sun et al. 2019, How to Fine-Tune BERT for Text Classification?)."""


@cache
def load_tokenizer(folder: Path, max_length: int | None) -> Tokenizer:
    """The tokenizer in a folder, cutting at `max_length` tokens (null: nowhere) and padding nothing."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    if max_length is None:
        tokenizer.no_truncation()
    else:
        tokenizer.enable_truncation(max_length=max_length)
    return tokenizer


def token_ids(tokenizer: Tokenizer, texts: list[str]) -> list[list[int]]:
    """One list of ids for each text, special tokens included; never empty."""
    return [
        encoding.ids for encoding in tokenizer.encode_batch_fast([_encodable(text[:MAX_CHARACTERS]) for text in texts])
    ]


def _encodable(text: str) -> str:
    """Lone surrogates cannot be encoded; they become the replacement character."""
    return text.encode("utf-8", "replace").decode("utf-8")


class Tokens:
    """Cuts texts into the rows of token ids that a model reads.

    Args:
        folder: with the tokenizer.
        max_length: tokens of a row at most, special tokens included.
        long_texts: what of a longer text is read, one of LONG_TEXTS.
    """

    def __init__(self, folder: Path, max_length: int, long_texts: str = HEAD):
        self.tokenizer = load_tokenizer(folder, max_length if long_texts == HEAD else None)
        self.max_length, self.long_texts = max_length, long_texts

    def rows(self, texts: list[str]) -> tuple[list[list[int]], NDArray[np.int64]]:
        """The rows of all texts, one after another, and where each text's rows begin, (N,); each text has one at least."""
        found = [self.cut(ids) for ids in token_ids(self.tokenizer, [self.reachable(text) for text in texts])]
        starts = np.cumsum([0, *(len(rows) for rows in found[:-1])]) if found else np.zeros(0)
        return [row for rows in found for row in rows], starts.astype(np.int64)

    def reachable(self, text: str) -> str:
        """What of a text is tokenised: no more than can reach the model, nothing that cannot be encoded."""
        if self.long_texts == HEAD_TAIL and len(text) > MAX_CHARACTERS:
            half = MAX_CHARACTERS // 2
            text = text[:half] + text[-half:]
        return _encodable(text[:MAX_CHARACTERS])

    def cut(self, ids: list[int]) -> list[list[int]]:
        """The rows of one text's token ids, or of the places of its tokens."""
        if len(ids) <= self.max_length:
            return [ids]
        first, inner, last = ids[0], ids[1:-1], ids[-1]
        room = self.max_length - 2
        if self.long_texts == HEAD_TAIL:
            head = int(_HEAD_SHARE * room)
            return [[first, *inner[:head], *inner[head - room :], last]]
        starts = range(0, min(len(inner), MAX_WINDOWS * room), room)
        return [[first, *inner[start : start + room], last] for start in starts]


def tokens_of(model: ModelVersion) -> Tokens:
    """Cuts texts as those were cut that the model learned from."""
    return Tokens(model.folder, int(model.card["max_length"]), model.card.get("long_texts", HEAD))


def mean_of_rows(values: NDArray[np.float64], starts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Each text's mean over its rows, (N, K), of values (R, K)."""
    if len(starts) == len(values):
        return values
    counts = np.diff(np.append(starts, len(values)))
    return np.asarray(np.add.reduceat(values, starts) / counts[:, None])
