"""Row groups of a reader_shard, and steps that are equal on all reader_shards. Two readers behind one function.

A shard set has as many reader_shards as it may have ranks (`max_world_size`). A step takes one micro-batch of every reader_shard,
whichever rank reads it: any number of ranks up to the number of reader_shards takes the same steps over the same examples,
and a run can be resumed by another number of ranks than began it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pyarrow import parquet as pq

COLUMNS = ("input_ids", "num_tokens", "label", "weight")


@dataclass(frozen=True)
class Rows:
    """Rows of a shard: input_ids (N, L) int32; num_tokens, label (N,) int32; weight (N,) float32."""

    input_ids: NDArray[np.int32]
    num_tokens: NDArray[np.int32]
    label: NDArray[np.int32]
    weight: NDArray[np.float32]

    def take(self, positions: NDArray[np.int64]) -> "Rows":
        """The rows at these positions."""
        return Rows(*(getattr(self, name)[positions] for name in COLUMNS))

    def with_hidden(self, share: float, mask_id: int, draw: np.random.Generator) -> "Rows":
        """The rows with this share of their tokens hidden behind the mask token; the first and the last stay."""
        places = np.arange(self.input_ids.shape[1])
        is_word = (places > 0) & (places < self.num_tokens[:, None] - 1)
        is_hidden = is_word & (draw.random(self.input_ids.shape) < share)
        return replace(self, input_ids=np.where(is_hidden, np.int32(mask_id), self.input_ids))

    def __len__(self) -> int:
        return len(self.label)


def joined(parts: list[Rows]) -> Rows:
    """The rows of all parts."""
    return Rows(*(np.concatenate([getattr(p, name) for p in parts]) for name in COLUMNS))


def direct_row_groups(paths: list[Path], *, reader_shard: int, num_reader_shards: int, seed: int) -> Iterator[Rows]:
    """The same row groups with nothing between Parquet and NumPy: the measured alternative to petastorm."""
    mine = paths[reader_shard::num_reader_shards]
    for position in np.random.default_rng(seed).permutation(len(mine)):
        yield read_rows(mine[position])


def read_rows(path: Path) -> Rows:
    """A whole shard file."""
    table = pq.read_table(path, columns=list(COLUMNS))
    width = len(table["input_ids"][0])
    flat = table["input_ids"].combine_chunks().flatten().to_numpy()
    columns = [table[name].to_numpy() for name in COLUMNS[1:]]
    return Rows(flat.reshape(-1, width), *columns)


def micro_batches(groups: Iterator[Rows], *, batch_rows: int, window_rows: int, seed: int) -> Iterator[Rows]:
    """Batches of equal numbers of rows, rows of like length together.

    Rows are sorted by length within a window, cut, and the batches of the window come in an order drawn from `seed`
    alone: with the same seed on all reader_shards, step k is a batch of like length everywhere and no rank waits long.
    """
    draw = np.random.default_rng(seed)
    waiting: list[Rows] = []
    for group in groups:
        waiting.append(group)
        if sum(len(rows) for rows in waiting) >= window_rows:
            yield from _cut(joined(waiting), batch_rows, draw)
            waiting = []
    if waiting:
        yield from _cut(joined(waiting), batch_rows, draw)


def _cut(window: Rows, batch_rows: int, draw: np.random.Generator) -> Iterator[Rows]:
    order = np.argsort(window.num_tokens, kind="stable")
    batches = [order[start : start + batch_rows] for start in range(0, len(order), batch_rows)]
    for index in draw.permutation(len(batches)):
        yield window.take(batches[index])


def reader_shards_of(rank: int, *, num_reader_shards: int, world_size: int) -> list[int]:
    """The reader_shards that a rank reads; every reader_shard is read by exactly one.

    Raises:
        ValueError: there are more ranks than reader_shards.
    """
    if world_size > num_reader_shards:
        raise ValueError(
            f"{world_size} ranks for {num_reader_shards} reader_shards of row groups: some would have nothing to read. "
            f"Use at most {num_reader_shards} ranks, or write the shards with shard.max_world_size={world_size} or more."
        )
    return list(range(rank, num_reader_shards, world_size))


def num_steps(group_rows: list[int], *, num_reader_shards: int, batch_rows: int, window_rows: int) -> int:
    """Steps of an epoch; row group i is read by reader_shard i % num_reader_shards.

    Raises:
        ValueError: the reader_shards would take different numbers of steps, and a rank would wait for ever.
    """
    steps = []
    for reader_shard in range(num_reader_shards):
        total, waiting = 0, 0
        for rows in group_rows[reader_shard::num_reader_shards]:
            waiting += rows
            if waiting >= window_rows:
                total, waiting = total + -(-waiting // batch_rows), 0
        steps.append(total + -(-waiting // batch_rows))
    if len(set(steps)) != 1 or steps[0] == 0:
        raise ValueError(
            f"{len(group_rows)} row groups in {num_reader_shards} reader shards give {steps} steps; expected the same "
            "positive number in each. Run the shard stage again: it writes equal row groups, a multiple of "
            "shard.max_world_size."
        )
    return steps[0]
