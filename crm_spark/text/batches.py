"""Texts of like length together: most of the cost of a naive batch is padding."""

from collections.abc import Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def token_batches(lengths: list[int], *, max_tokens: int) -> list[Ints]:
    """Positions of texts in batches of at most `max_tokens` padded tokens, longest first; every position exactly once.

    A text longer than the budget is a batch of its own.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches: list[Ints] = []
    start = 0
    while start < len(order):
        size = max(1, max_tokens // max(1, lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches


def feeds(
    ids: NDArray[np.int32], lengths: Ints, *, max_tokens: int
) -> Iterator[tuple[Ints, dict[str, NDArray[np.int64]]]]:
    """Batches as a model's graphs take them, texts of like length together, padded to the longest of a batch.

    Args:
        ids: token ids (N, L).
        lengths: how many of them are real (N,).
        max_tokens: padded tokens in a batch.

    Yields:
        Positions of the texts (B,), and their `tokens` and `mask` (B, T) int64.
    """
    for batch in token_batches(lengths.tolist(), max_tokens=max_tokens):
        is_real = np.arange(int(lengths[batch].max())) < lengths[batch][:, None]
        yield batch, {"tokens": ids[batch, : is_real.shape[1]].astype(np.int64), "mask": is_real.astype(np.int64)}


def padded(ids: list[list[int]]) -> tuple[NDArray[np.int32], Ints]:
    """Token ids, shape (N, longest), and the length of each text, (N,); padding is id 0."""
    lengths = np.asarray([len(row) for row in ids], np.int64)
    tokens = np.zeros((len(ids), int(lengths.max())), np.int32)
    tokens[np.arange(tokens.shape[1]) < lengths[:, None]] = np.fromiter(chain.from_iterable(ids), np.int32)
    return tokens, lengths
