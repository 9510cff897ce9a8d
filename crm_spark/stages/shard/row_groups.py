"""Write row groups of token ids: fixed row length, padding rows with weight 0."""

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import compute as pc
from pyarrow import parquet as pq

from crm_spark.text.labels import LABELS

FILE_SCHEMA = "name string, split string, sha256 string, num_rows long, num_examples long, content binary"
NO_LABEL = -1
"""Label of an unlabelled text."""


def group_writer(folder: str | None, *, max_length: int, group_rows: dict[str, int]) -> Callable[[pa.Table], pa.Table]:
    """Return a function for `applyInArrow` that writes a row group as `<split>/<group>.parquet` and returns its entry.

    Its input rows have text_hash, split, group, position, label, source, language, input_ids, weight. A row without
    text_hash only makes sure that the group exists.

    Args:
        folder: of the shard set; None: the entry has the content of the file, because executors do not see the folder.
        max_length: tokens per row.
        group_rows: rows per group of each split, including padding.
    """
    numbers = {label: number for number, label in enumerate(LABELS)}

    def write(rows: pa.Table) -> pa.Table:
        split, group = rows["split"][0].as_py(), rows["group"][0].as_py()
        rows = rows.filter(pc.is_valid(rows["text_hash"])).sort_by("position")
        num_rows, ids = group_rows[split], rows["input_ids"].combine_chunks()
        num_padding, lengths = num_rows - len(rows), ids.value_lengths().to_numpy(zero_copy_only=False)
        tokens = np.zeros((num_rows, max_length), np.int32)
        real = np.arange(max_length) < np.append(lengths, np.zeros(num_padding, np.int32))[:, None]
        tokens[real] = ids.flatten().to_numpy(zero_copy_only=False)
        labels = [numbers.get(label, NO_LABEL) for label in rows["label"].to_pylist()]
        languages = [language or "" for language in rows["language"].to_pylist()]
        # Padding rows have one token and weight 0.
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
        buffer = pa.BufferOutputStream()
        pq.write_table(table, buffer, row_group_size=num_rows, compression="snappy")
        content = buffer.getvalue().to_pybytes()
        name = f"{split}/{group:05d}.parquet"
        if folder is not None:
            write_group(Path(folder) / name, content)
        digest = hashlib.sha256(content).hexdigest()
        entry = (name, split, digest, num_rows, len(rows), content if folder is None else None)
        types = [pa.string(), pa.string(), pa.string(), pa.int64(), pa.int64(), pa.binary()]
        return pa.table({c: pa.array([v], t) for c, v, t in zip(_COLUMNS, entry, types, strict=True)})

    return write


def write_group(path: Path, content: bytes) -> None:
    """Write the file of a row group; it appears when it is complete."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_bytes(content)
    draft.replace(path)


_COLUMNS = [column.split()[0] for column in FILE_SCHEMA.split(", ")]
