"""Row group reader based on petastorm; the only module that imports petastorm."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from crm_spark.stages.train import petastorm_arrow  # noqa: F401  (must be imported before petastorm)
from crm_spark.stages.train.readers import COLUMNS, Rows

from petastorm import make_batch_reader  # isort: skip

_URL_PREFIX = "file://"


def row_groups(paths: list[Path], *, reader_shard: int, num_reader_shards: int, seed: int) -> Iterator[Rows]:
    """Yield the row groups of a reader shard in an order given by `seed` (at least 1: petastorm treats 0 as no seed)."""
    reader = make_batch_reader(
        [f"{_URL_PREFIX}{path}" for path in paths],
        schema_fields=[f"^{name}$" for name in COLUMNS],
        reader_pool_type="thread",
        workers_count=1,
        shuffle_row_groups=True,
        seed=seed,
        cur_shard=reader_shard,
        shard_count=num_reader_shards,
        num_epochs=1,
    )
    try:
        for batch in reader:
            yield Rows(
                input_ids=np.stack(batch.input_ids),
                num_tokens=np.asarray(batch.num_tokens),
                label=np.asarray(batch.label),
                weight=np.asarray(batch.weight),
            )
    finally:
        reader.stop()
        reader.join()
