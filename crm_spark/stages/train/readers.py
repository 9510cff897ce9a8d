"""Row groups of a rank, and steps that are equal on all ranks. Two readers behind one function."""

from collections.abc import Iterator
from dataclasses import dataclass
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
        """The rows at these positions, without columns of padding that none of them needs."""
        width = int(self.num_tokens[positions].max())
        return Rows(
            self.input_ids[positions, :width], self.num_tokens[positions], self.label[positions], self.weight[positions]
        )

    def __len__(self) -> int:
        return len(self.label)


def joined(parts: list[Rows]) -> Rows:
    """The rows of all parts."""
    return Rows(*(np.concatenate([getattr(p, name) for p in parts]) for name in COLUMNS))


def direct_row_groups(paths: list[Path], *, rank: int, world_size: int, seed: int) -> Iterator[Rows]:
    """The same row groups with nothing between Parquet and NumPy: the measured alternative to petastorm."""
    order = np.random.default_rng(seed).permutation(len(paths[rank::world_size]))
    for position in order:
        yield read_rows(paths[rank::world_size][position])


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
    alone: with the same seed on all ranks, step k is a batch of like length everywhere and no rank waits long.
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


def num_steps(group_rows: list[int], *, world_size: int, batch_rows: int, window_rows: int) -> list[int]:
    """Steps of each rank in an epoch; row group i is read by rank i % world_size.

    Raises:
        ValueError: the ranks would take different numbers of steps, and the last would wait for ever.
    """
    steps = []
    for rank in range(world_size):
        total, waiting = 0, 0
        for rows in group_rows[rank::world_size]:
            waiting += rows
            if waiting >= window_rows:
                total, waiting = total + -(-waiting // batch_rows), 0
        steps.append(total + -(-waiting // batch_rows))
    if len(set(steps)) != 1 or steps[0] == 0:
        raise ValueError(
            f"{len(group_rows)} row groups on {world_size} ranks give {steps} steps; wanted the same number, not 0, on each. "
            "Write the shards with shard.max_world_size a multiple of the number of ranks."
        )
    return steps
