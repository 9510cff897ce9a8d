"""Row groups of a reader shard, and micro-batches with the same number of steps on all reader shards.

A shard set has `max_world_size` reader shards. A step takes one micro-batch of every reader shard, whichever rank reads
it. Any number of ranks up to that limit takes the same steps over the same examples, and a run can be resumed with
another number of ranks.
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
        """Return the rows at these positions."""
        return Rows(*(getattr(self, name)[positions] for name in COLUMNS))

    def with_masked(self, fraction: float, mask_id: int, random: np.random.Generator) -> "Rows":
        """Return the rows with a random fraction of tokens masked, except the first and the last token."""
        positions = np.arange(self.input_ids.shape[1])
        is_word = (positions > 0) & (positions < self.num_tokens[:, None] - 1)
        is_masked = is_word & (random.random(self.input_ids.shape) < fraction)
        return replace(self, input_ids=np.where(is_masked, np.int32(mask_id), self.input_ids))

    def __len__(self) -> int:
        return len(self.label)


def concatenate(parts: list[Rows]) -> Rows:
    """Return the rows of all parts."""
    return Rows(*(np.concatenate([getattr(p, name) for p in parts]) for name in COLUMNS))


def direct_row_groups(paths: list[Path], *, reader_shard: int, num_reader_shards: int, seed: int) -> Iterator[Rows]:
    """Yield the row groups of a reader shard with pyarrow, without petastorm."""
    own = paths[reader_shard::num_reader_shards]
    for position in np.random.default_rng(seed).permutation(len(own)):
        yield read_rows(own[position])


def read_rows(path: Path) -> Rows:
    """Read a shard file."""
    table = pq.read_table(path, columns=list(COLUMNS))
    width = len(table["input_ids"][0])
    flat = table["input_ids"].combine_chunks().flatten().to_numpy()
    columns = [table[name].to_numpy() for name in COLUMNS[1:]]
    return Rows(flat.reshape(-1, width), *columns)


def micro_batches(groups: Iterator[Rows], *, batch_rows: int, window_rows: int, seed: int) -> Iterator[Rows]:
    """Yield batches of `batch_rows` rows of similar length.

    Rows are sorted by length within a window, and the batches of a window are shuffled by `seed` only. With the same
    seed on all reader shards, step k has similar lengths on all ranks, so that no rank waits long.
    """
    random = np.random.default_rng(seed)
    buffer: list[Rows] = []
    for group in groups:
        buffer.append(group)
        if sum(len(rows) for rows in buffer) >= window_rows:
            yield from _length_sorted_batches(concatenate(buffer), batch_rows, random)
            buffer = []
    if buffer:
        yield from _length_sorted_batches(concatenate(buffer), batch_rows, random)


def _length_sorted_batches(window: Rows, batch_rows: int, random: np.random.Generator) -> Iterator[Rows]:
    order = np.argsort(window.num_tokens, kind="stable")
    batches = [order[start : start + batch_rows] for start in range(0, len(order), batch_rows)]
    for index in random.permutation(len(batches)):
        yield window.take(batches[index])


def reader_shards_of(rank: int, *, num_reader_shards: int, world_size: int) -> list[int]:
    """Return the reader shards of a rank; each is read by exactly one rank.

    Raises:
        ValueError: there are more ranks than reader shards.
    """
    if world_size > num_reader_shards:
        raise ValueError(
            f"{world_size} ranks exceed the number of reader shards ({num_reader_shards}). "
            f"Use at most {num_reader_shards} ranks, or run the shard stage with shard.max_world_size={world_size} or more."
        )
    return list(range(rank, num_reader_shards, world_size))


def num_steps(group_rows: list[int], *, num_reader_shards: int, batch_rows: int, window_rows: int) -> int:
    """Return the steps per epoch; row group i belongs to reader shard i % num_reader_shards.

    Raises:
        ValueError: the reader shards differ in their number of steps, so that a rank would wait for ever.
    """
    steps = []
    for reader_shard in range(num_reader_shards):
        total, buffer = 0, 0
        for rows in group_rows[reader_shard::num_reader_shards]:
            buffer += rows
            if buffer >= window_rows:
                total, buffer = total + -(-buffer // batch_rows), 0
        steps.append(total + -(-buffer // batch_rows))
    if len(set(steps)) != 1 or steps[0] == 0:
        raise ValueError(
            f"{len(group_rows)} row groups in {num_reader_shards} reader shards give {steps} steps; expected the same "
            "positive number in each. Run the shard stage again: it writes equal row groups, a multiple of "
            "shard.max_world_size."
        )
    return steps[0]
