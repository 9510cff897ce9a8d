"""Length-sorted batches, which avoid most of the padding."""

from collections.abc import Iterator
from itertools import chain

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def token_batches(lengths: list[int], *, max_tokens: int) -> list[Ints]:
    """Return positions of texts in batches of at most `max_tokens` padded tokens, longest first.

    Every position occurs once. A text longer than the budget is a batch of its own.
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
    """Yield input feeds of the ONNX graph in length-sorted batches, padded to the longest text of a batch.

    Args:
        ids: token ids (N, L).
        lengths: number of tokens of each text (N,).
        max_tokens: padded tokens per batch.

    Yields:
        Positions of the texts (B,), and their `tokens` and `mask` (B, T) int64.
    """
    for batch in token_batches(lengths.tolist(), max_tokens=max_tokens):
        is_real = np.arange(int(lengths[batch].max())) < lengths[batch][:, None]
        yield batch, {"tokens": ids[batch, : is_real.shape[1]].astype(np.int64), "mask": is_real.astype(np.int64)}


def padded(ids: list[list[int]]) -> tuple[NDArray[np.int32], Ints]:
    """Return token ids (N, longest), padded with id 0, and the length of each text (N,)."""
    lengths = np.asarray([len(row) for row in ids], np.int64)
    tokens = np.zeros((len(ids), int(lengths.max())), np.int32)
    tokens[np.arange(tokens.shape[1]) < lengths[:, None]] = np.fromiter(chain.from_iterable(ids), np.int32)
    return tokens, lengths
