"""Token rows and MinHash signatures of texts, computed in one pass on Spark workers."""

from collections.abc import Callable, Iterator
from itertools import chain

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql.types import ArrayType, IntegerType, LongType, StructField, StructType

from crm_spark.stages.shard.minhash import NUM_BANDS, NUM_HASHES, bands_and_signatures
from crm_spark.text.encoder import encoder_dir
from crm_spark.text.tokenizer import TextTokenizer

_ADDED_FIELDS = [
    StructField("input_ids", ArrayType(ArrayType(IntegerType()))),
    StructField("signature", ArrayType(IntegerType())),
    StructField("bands", ArrayType(LongType())),
]


def token_rows(texts: DataFrame, encoder: str, *, max_length: int, long_texts: str, seed: int) -> DataFrame:
    """Grain unchanged: replaces `text` by `input_ids`, `signature` and `bands`.

    `input_ids` are the token rows of a text, at least one; `signature` its MinHashes; `bands` a hash of each LSH band.
    Signature and bands are empty for texts shorter than a shingle.

    Args:
        texts: text and any other columns.
        encoder: encoder whose tokenizer is used.
        max_length: maximum tokens per row.
        long_texts: truncation strategy for longer texts.
        seed: of the hash functions.
    """
    others = [field for field in texts.schema.fields if field.name != "text"]
    tokenise = batch_tokeniser(encoder, max_length=max_length, long_texts=long_texts, seed=seed)
    return texts.mapInArrow(tokenise, StructType([*others, *_ADDED_FIELDS]))


def batch_tokeniser(
    encoder: str, *, max_length: int, long_texts: str, seed: int
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function for `mapInArrow`."""

    def tokenise_batches(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        tokenizer = TextTokenizer(encoder_dir(encoder), max_length, long_texts)
        for batch in batches:
            texts = batch.column("text").to_pylist()
            rows, starts = tokenizer.rows(texts)
            lengths = np.fromiter(map(len, rows), np.int32, len(rows))
            flat = np.fromiter(chain.from_iterable(rows), np.int32, int(lengths.sum()))
            ids = pa.ListArray.from_arrays(_offsets(lengths), flat)
            bands, signatures, counts = bands_and_signatures(texts, seed=seed)
            yield (
                batch.drop_columns("text")
                .append_column(
                    "input_ids", pa.ListArray.from_arrays(np.append(starts, len(rows)).astype(np.int32), ids)
                )
                .append_column("signature", pa.ListArray.from_arrays(_offsets(counts * NUM_HASHES), signatures.ravel()))
                .append_column("bands", pa.ListArray.from_arrays(_offsets(counts * NUM_BANDS), bands.ravel()))
            )

    return tokenise_batches


def _offsets(lengths: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
