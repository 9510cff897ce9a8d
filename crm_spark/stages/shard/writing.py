"""Tokens of texts, and row groups of them: rows of fixed length, padding rows of weight 0."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd

TOKENISED = "text_hash string, row int, split string, label string, source string, language string, input_ids array<int>, weight float"
WRITTEN = "name string, split string, sha256 string, num_rows long, num_examples long"
NO_LABEL = -1
"""Label of a text that nobody rated."""


def tokeniser(
    encoder: str, *, max_length: int, long_texts: str
) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    """A function of texts: their rows of token ids, each with its part of the text's weight of 1."""

    def tokenise(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        from crm_spark.text.encoder import encoder_dir
        from crm_spark.text.tokenise import Tokens

        tokens = Tokens(encoder_dir(encoder), max_length, long_texts)
        for frame in frames:
            rows, starts = tokens.rows(frame["text"].tolist())
            counts = np.diff(np.append(starts, len(rows)))
            columns = {
                name: np.repeat(frame[name].to_numpy(), counts)
                for name in ("text_hash", "split", "label", "source", "language")
            }
            number = np.arange(len(rows)) - np.repeat(starts, counts)
            weight = np.repeat(1 / np.maximum(counts, 1), counts).astype(np.float32)
            # A frame without a text has no row either.
            yield pd.DataFrame({**columns, "row": number, "input_ids": rows, "weight": weight})

    return tokenise


def group_writer(folder: str, *, max_length: int, group_rows: dict[str, int]) -> Callable[[pd.DataFrame], pd.DataFrame]:
    """A function of the rows of one group of a split: pads, writes `<split>/<group>.parquet`, says what it wrote.

    Args:
        folder: of the shard set.
        max_length: tokens in every row.
        group_rows: rows of a group of each split, padding included.
    """

    def write(rows: pd.DataFrame) -> pd.DataFrame:
        import pyarrow as pa
        from pyarrow import parquet as pq

        from crm_spark.text.bundle import sha256_of_file
        from crm_spark.text.labels import LABELS

        split, group = rows["split"].iloc[0], int(rows["group"].iloc[0])
        rows = rows[rows["text_hash"].notna()].sort_values("position")
        wanted, lengths = group_rows[split], np.array([len(ids) for ids in rows["input_ids"]], np.int32)
        num_padding = wanted - len(rows)
        tokens = np.zeros((wanted, max_length), np.int32)
        real = np.arange(max_length) < np.append(lengths, np.zeros(num_padding, np.int32))[:, None]
        tokens[real] = np.concatenate([*rows["input_ids"], []])
        numbers = {label: number for number, label in enumerate(LABELS)}
        labels = [numbers.get(label, NO_LABEL) for label in rows["label"]]
        # A padding row repeats nothing and teaches nothing: one token, weight 0.
        table = pa.table(
            {
                "example_id": pa.array(rows["text_hash"].tolist() + [""] * num_padding, pa.string()),
                "source": pa.array(rows["source"].tolist() + [""] * num_padding, pa.string()),
                "language": pa.array(rows["language"].fillna("").tolist() + [""] * num_padding, pa.string()),
                "input_ids": pa.ListArray.from_arrays(
                    np.arange(0, tokens.size + 1, max_length, dtype=np.int32), tokens.ravel()
                ),
                "num_tokens": pa.array([*lengths, *[1] * num_padding], pa.int32()),
                "label": pa.array(labels + [0] * num_padding, pa.int32()),
                "weight": pa.array([*rows["weight"], *[0.0] * num_padding], pa.float32()),
            }
        )
        path = Path(folder) / split / f"{group:05d}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.draft")
        pq.write_table(table, draft, row_group_size=wanted, compression="snappy")
        draft.replace(path)
        return pd.DataFrame(
            {
                "name": [f"{split}/{path.name}"],
                "split": [split],
                "sha256": [sha256_of_file(path)],
                "num_rows": [wanted],
                "num_examples": [len(rows)],
            }
        )

    return write
