"""Row groups of token ids: rows of fixed length, padding rows of weight 0."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import compute as pc
from pyarrow import parquet as pq

from crm_spark.models.registry import sha256_of_file
from crm_spark.text.labels import LABELS

WRITTEN = "name string, split string, sha256 string, num_rows long, num_examples long"
NO_LABEL = -1
"""Label of a text that nobody rated."""


def group_writer(folder: str, *, max_length: int, group_rows: dict[str, int]) -> Callable[[pa.Table], pa.Table]:
    """A function of the rows of one group of a split: pads, writes `<split>/<group>.parquet`, says what it wrote.

    A row has text_hash, split, group, position, label, source, language, input_ids, weight; one without text_hash is none.

    Args:
        folder: of the shard set.
        max_length: tokens in every row.
        group_rows: rows of a group of each split, padding included.
    """
    numbers = {label: number for number, label in enumerate(LABELS)}

    def write(rows: pa.Table) -> pa.Table:
        split, group = rows["split"][0].as_py(), rows["group"][0].as_py()
        rows = rows.filter(pc.is_valid(rows["text_hash"])).sort_by("position")
        wanted, ids = group_rows[split], rows["input_ids"].combine_chunks()
        num_padding, lengths = wanted - len(rows), ids.value_lengths().to_numpy(zero_copy_only=False)
        tokens = np.zeros((wanted, max_length), np.int32)
        real = np.arange(max_length) < np.append(lengths, np.zeros(num_padding, np.int32))[:, None]
        tokens[real] = ids.flatten().to_numpy(zero_copy_only=False)
        labels = [numbers.get(label, NO_LABEL) for label in rows["label"].to_pylist()]
        languages = [language or "" for language in rows["language"].to_pylist()]
        # A padding row repeats nothing and teaches nothing: one token, weight 0.
        table = pa.table(
            {
                "example_id": pa.array(rows["text_hash"].to_pylist() + [""] * num_padding, pa.string()),
                "source": pa.array(rows["source"].to_pylist() + [""] * num_padding, pa.string()),
                "language": pa.array(languages + [""] * num_padding, pa.string()),
                "input_ids": pa.ListArray.from_arrays(
                    np.arange(0, tokens.size + 1, max_length, dtype=np.int32), tokens.ravel()
                ),
                "num_tokens": pa.array([*lengths, *[1] * num_padding], pa.int32()),
                "label": pa.array(labels + [0] * num_padding, pa.int32()),
                "weight": pa.array([*rows["weight"].to_pylist(), *[0.0] * num_padding], pa.float32()),
            }
        )
        path = Path(folder) / split / f"{group:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.draft")
        pq.write_table(table, draft, row_group_size=wanted, compression="snappy")
        draft.replace(path)
        said = (f"{split}/{path.name}", split, sha256_of_file(path), wanted, len(rows))
        return pa.table({name: [value] for name, value in zip(_COLUMNS, said, strict=True)})

    return write


_COLUMNS = [column.split()[0] for column in WRITTEN.split(", ")]
