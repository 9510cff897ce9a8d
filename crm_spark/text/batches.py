"""Texts of like length together: most of the cost of a naive batch is padding."""

import numpy as np
from numpy.typing import NDArray


def token_batches(lengths: list[int], *, max_tokens: int) -> list[NDArray[np.int64]]:
    """Positions of texts in batches of at most `max_tokens` padded tokens, longest first; every position exactly once.

    A text longer than the budget is a batch of its own.
    """
    order = np.argsort(-np.asarray(lengths, dtype=np.int64), kind="stable")
    batches: list[NDArray[np.int64]] = []
    start = 0
    while start < len(order):
        size = max(1, max_tokens // max(1, lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches


def padded(ids: list[list[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Token ids and mask, shape (B, longest); padding is id 0, mask 0."""
    width = max(len(row) for row in ids)
    tokens, mask = np.zeros((len(ids), width), np.int64), np.zeros((len(ids), width), np.int64)
    for i, row in enumerate(ids):
        tokens[i, : len(row)], mask[i, : len(row)] = row, 1
    return tokens, mask
