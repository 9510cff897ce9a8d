"""Reader of the rows of a rank, step by step."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from crm_spark.stages.train.config import TrainConfig
from crm_spark.stages.train.readers import (
    Rows,
    concatenate,
    direct_row_groups,
    micro_batches,
    num_steps,
    reader_shards_of,
)
from crm_spark.text.manifest import TRAIN, ShardManifest

_MAX_ROWS, _MIN_ROWS, _MIN_STEPS = 64, 16, 200


def default_batch_rows(manifest: ShardManifest, cfg: TrainConfig) -> int:
    """Return the default rows per step: smaller for few texts, for enough steps."""
    num_reader_shards, num_rows = manifest.max_world_size, sum(file.num_rows for file in manifest.of(TRAIN))
    num_rows = min(num_rows, cfg.max_examples or num_rows)
    rows = _MAX_ROWS
    while rows > _MIN_ROWS and num_rows * cfg.num_epochs < rows * _MIN_STEPS:
        rows //= 2
    return num_reader_shards * max(1, rows // num_reader_shards)


@dataclass
class ShardReader:
    """Rows of a split for one rank.

    Attributes:
        folder: of the shard set.
        manifest: of the shard set.
        cfg: settings of the train stage.
        seed: of the order.
        rank: of this process.
        world_size: number of ranks.
        split: split to read.
    """

    folder: Path
    manifest: ShardManifest
    cfg: TrainConfig
    seed: int
    rank: int
    world_size: int
    split: str = TRAIN

    def __post_init__(self) -> None:
        num_reader_shards = self.manifest.max_world_size
        self.batch_rows = self.cfg.batch_rows or default_batch_rows(self.manifest, self.cfg)
        if self.batch_rows % num_reader_shards:
            raise ValueError(
                f"train.batch_rows: {self.batch_rows} is not a multiple of the shard set's {num_reader_shards} reader "
                "shards (shard.max_world_size)."
            )
        self.reader_shards = reader_shards_of(
            self.rank, num_reader_shards=num_reader_shards, world_size=self.world_size
        )

    @cached_property
    def num_steps(self) -> int:
        """Steps per epoch, the same on all ranks."""
        rows, num_reader_shards = [file.num_rows for file in self.manifest.of(self.split)], self.manifest.max_world_size
        batch_rows = self.batch_rows // num_reader_shards
        steps = num_steps(
            rows, num_reader_shards=num_reader_shards, batch_rows=batch_rows, window_rows=self.cfg.window_rows
        )
        if self.cfg.max_examples is not None:
            steps = min(steps, max(1, self.cfg.max_examples // self.batch_rows))
        return steps

    def require_equal_steps(self) -> None:
        """Raise ValueError if the reader shards differ in their number of steps."""
        _ = self.num_steps

    def steps(self, epoch: int) -> Iterator[Rows]:
        """Yield the rows of this rank for each step of an epoch; deterministic."""
        epoch_seed = 1 + (self.seed + epoch) % (2**31 - 2)  # petastorm treats 0 as no seed
        reader_shards = [self._micro_batches(reader_shard, epoch_seed) for reader_shard in self.reader_shards]
        for _ in range(self.num_steps):
            yield concatenate([next(reader_shard) for reader_shard in reader_shards])
        for reader_shard in reader_shards:
            reader_shard.close()

    def endless(self, epoch: int) -> Iterator[Rows]:
        """Yield the steps of this epoch and all following ones."""
        for number in itertools.count(epoch):
            yield from self.steps(number)

    def _micro_batches(self, reader_shard: int, seed: int) -> Any:
        num_reader_shards = self.manifest.max_world_size
        paths = [self.folder / file.name for file in self.manifest.of(self.split)]
        groups = self._row_groups()(paths, reader_shard=reader_shard, num_reader_shards=num_reader_shards, seed=seed)
        batch_rows = self.batch_rows // num_reader_shards
        return micro_batches(groups, batch_rows=batch_rows, window_rows=self.cfg.window_rows, seed=seed)

    def _row_groups(self) -> Callable[..., Iterator[Rows]]:
        if self.cfg.reader == "petastorm":
            from crm_spark.stages.train.petastorm_reader import row_groups

            return row_groups
        return direct_row_groups
