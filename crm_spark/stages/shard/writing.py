"""Writes one row group of a shard set: tokens of fixed length, padding rows of weight 0."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

SCHEMA = "name string, split string, sha256 string, num_rows long, num_examples long"


def group_writer(
    folder: str, encoder: str, *, max_length: int, group_rows: int
) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A function of the rows of one group: tokenises, pads, writes `<split>/<group>.parquet`, says what it wrote."""

    def write(rows: pd.DataFrame) -> pd.DataFrame:
        import pyarrow as pa
        from pyarrow import parquet as pq

        from crm_spark.text.bundle import sha256_of_file
        from crm_spark.text.encoder import encoder_dir
        from crm_spark.text.labels import LABELS
        from crm_spark.text.tokenise import load_tokenizer, token_ids

        split, group = rows["split"].iloc[0], int(rows["group"].iloc[0])
        rows = rows[rows["text_hash"].notna()].sort_values("position")
        ids = token_ids(load_tokenizer(encoder_dir(encoder), max_length), rows["text"].tolist())
        num_padding = group_rows - len(rows)
        tokens = np.zeros((group_rows, max_length), np.int32)
        for i, row in enumerate(ids):
            tokens[i, : len(row)] = row
        # A padding row repeats nothing and teaches nothing: one token, weight 0.
        table = pa.table(
            {
                "example_id": pa.array(rows["text_hash"].tolist() + [""] * num_padding, pa.string()),
                "source": pa.array(rows["source"].tolist() + [""] * num_padding, pa.string()),
                "language": pa.array(rows["language"].fillna("").tolist() + [""] * num_padding, pa.string()),
                "input_ids": pa.array(list(tokens), pa.list_(pa.int32())),
                "num_tokens": pa.array([len(row) for row in ids] + [1] * num_padding, pa.int32()),
                "label": pa.array([LABELS.index(label) for label in rows["label"]] + [0] * num_padding, pa.int32()),
                "weight": pa.array([1.0] * len(rows) + [0.0] * num_padding, pa.float32()),
            }
        )
        path = Path(folder) / split / f"{group:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.draft")
        pq.write_table(table, draft, row_group_size=group_rows, compression="snappy")
        draft.replace(path)
        return pd.DataFrame(
            {
                "name": [f"{split}/{path.name}"],
                "split": [split],
                "sha256": [sha256_of_file(path)],
                "num_rows": [group_rows],
                "num_examples": [len(rows)],
            }
        )

    return write
