"""One pass of the texts through Python: their rows of token ids, and the MinHashes that tell near texts."""

from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.types import ArrayType, IntegerType, LongType, StructField, StructType

from crm_spark.stages.shard.minhash import NUM_BANDS, NUM_HASHES, bands_and_signatures
from crm_spark.text.encoder import encoder_dir
from crm_spark.text.tokenizer import TextTokenizer

_ADDED = [
    StructField("input_ids", ArrayType(ArrayType(IntegerType()))),
    StructField("signature", ArrayType(IntegerType())),
    StructField("bands", ArrayType(LongType())),
]


def read(texts: DataFrame, encoder: str, *, max_length: int, long_texts: str, seed: int) -> DataFrame:
    """Grain unchanged: what the texts are made of in place of `text`.

    `input_ids` are a text's rows of token ids, one at least; `signature` its MinHashes and `bands` a hash of each band of
    them, both empty where the text has fewer characters than a shingle.

    Args:
        texts: text and any other columns.
        encoder: whose tokenizer makes the tokens.
        max_length: tokens of a row at most.
        long_texts: what of a longer text is read.
        seed: of the hash functions.
    """
    others = [field for field in texts.schema.fields if field.name != "text"]
    recipe = reader(encoder, max_length=max_length, long_texts=long_texts, seed=seed)
    return texts.mapInArrow(recipe, StructType([*others, *_ADDED]))


def reader(
    encoder: str, *, max_length: int, long_texts: str, seed: int
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """The function that workers run."""

    def read_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tokens = TextTokenizer(encoder_dir(encoder), max_length, long_texts)
        for batch in batches:
            texts = batch.column("text").to_pylist()
            rows, starts = tokens.rows(texts)
            lengths = np.fromiter(map(len, rows), np.int32, len(rows))
            flat = np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum()))
            ids = pa.ListArray.from_arrays(_ends(lengths), flat)
            bands, signatures, counts = bands_and_signatures(texts, seed=seed)
            yield (
                batch.drop_columns("text")
                .append_column(
                    "input_ids", pa.ListArray.from_arrays(np.append(starts, len(rows)).astype(np.int32), ids)
                )
                .append_column("signature", pa.ListArray.from_arrays(_ends(counts * NUM_HASHES), signatures.ravel()))
                .append_column("bands", pa.ListArray.from_arrays(_ends(counts * NUM_BANDS), bands.ravel()))
            )

    return read_batches


def _ends(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
