"""Texts that nearly repeat one of a held-out side. What they teach would be asked for again in the test.

MinHash over shingles of five characters (Broder 1997) cut into bands (Leskovec, Rajaraman, Ullman: Mining of Massive
Datasets, 3.4): with 8 bands of 8 hashes a pair of similarity 0.9 is found in 99 of 100 cases, of 0.8 in 77, of 0.5 in 3.
No pair is built but with the first text of a band: a phrase that stands in a million texts costs a million rows.
"""

import re
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.text.manifest import TEST, VALIDATION

NUM_BANDS, BAND_HASHES, SHINGLE_CHARACTERS = 8, 8, 5
LEAST_SIMILARITY = 0.7
"""Below it two texts that share a band say different things in part with the same words."""
MAX_CHARACTERS = 4_000
"""Of a longer text its beginning tells it: the model reads no more of it either."""
_NUM_HASHES = NUM_BANDS * BAND_HASHES
_TEXTS_AT_ONCE = 250
"""As many as a core's cache holds the shingles of."""
_SIGNED = "text_hash string, turn int, signature array<int>, bands array<long>"
_MIX, _BASE = np.uint64(0x9E3779B97F4A7C15), np.uint64(0x100000001B3)
_OTHER_THAN_WORDS = re.compile(r"[\W_]+")


def near_held_out(sided: DataFrame, *, seed: int) -> DataFrame:
    """Grain: text_hash. The texts that nearly repeat one of a side before theirs: test, then validation, then training.

    `twin_hash` is the most similar of those found, `similarity` the Jaccard similarity of the shingles as the
    signatures tell it. A text of fewer characters than a shingle has no near text.

    Args:
        sided: text_hash, text, split; each text once.
        seed: of the hash functions.
    """
    turn = F.when(F.col("split") == TEST, 0).when(F.col("split") == VALIDATION, 1).otherwise(2)
    signed = sided.select("text_hash", turn.alias("turn"), "text").mapInPandas(_signer(seed), _SIGNED)
    signed = signed.persist(StorageLevel.MEMORY_AND_DISK)
    banded = signed.select("text_hash", "turn", F.explode("bands").alias("band"))
    met = banded.groupBy("band").agg(F.min(F.struct("turn", "text_hash")).alias("first"), F.max("turn").alias("last"))
    # Most bands hold one text, or texts of one side: what is left is small.
    met = met.where((F.col("first.turn") < 2) & (F.col("last") > F.col("first.turn")))
    pairs = banded.join(met, "band").where(F.col("turn") > F.col("first.turn"))
    pairs = pairs.select("text_hash", F.col("first.text_hash").alias("twin_hash")).distinct()
    first = signed.select(F.col("text_hash").alias("twin_hash"), F.col("signature").alias("twin_signature"))
    compared = pairs.join(signed.select("text_hash", "signature"), "text_hash").join(first, "twin_hash")
    found = compared.select("text_hash", "twin_hash", _similarity().alias("similarity"))
    nearest = F.max(F.struct("similarity", "twin_hash")).alias("nearest")
    found = found.where(F.col("similarity") >= LEAST_SIMILARITY).groupBy("text_hash").agg(nearest)
    return found.select(
        "text_hash", F.col("nearest.twin_hash").alias("twin_hash"), F.col("nearest.similarity").alias("similarity")
    )


def _similarity() -> Column:
    """The share of MinHashes that two signatures have in common."""
    is_equal = F.zip_with("signature", "twin_signature", lambda one, other: (one == other).cast("int"))
    return F.aggregate(is_equal, F.lit(0), lambda total, one: total + one) / F.lit(_NUM_HASHES)


def _signer(seed: int) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    def sign(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for frame in frames:
            letters = [_OTHER_THAN_WORDS.sub(" ", text[:MAX_CHARACTERS]).strip().lower() for text in frame["text"]]
            is_long = np.array([len(text) >= SHINGLE_CHARACTERS for text in letters], bool)
            frame, letters = frame[is_long], [text for text in letters if len(text) >= SHINGLE_CHARACTERS]
            if letters:
                parts = [letters[first : first + _TEXTS_AT_ONCE] for first in range(0, len(letters), _TEXTS_AT_ONCE)]
                signed = np.concatenate([signatures(part, seed=seed) for part in parts])
                yield pd.DataFrame(
                    {
                        "text_hash": frame["text_hash"].to_numpy(),
                        "turn": frame["turn"].to_numpy(),
                        "signature": list(signed.view(np.int32)),
                        "bands": list(bands(signed)),
                    }
                )

    return sign


def signatures(texts: list[str], *, seed: int) -> NDArray[np.uint32]:
    """The MinHashes of each text, (N, 64); every text has a shingle at least."""
    lengths = np.array([len(text) for text in texts])
    codes = np.frombuffer("".join(texts).encode("utf-32-le", "surrogatepass"), np.uint32).astype(np.uint64)
    hashes = np.zeros(len(codes) - SHINGLE_CHARACTERS + 1, np.uint64)
    for i in range(SHINGLE_CHARACTERS):
        hashes = hashes * _BASE + codes[i : len(hashes) + i]
    hashes *= _MIX
    hashes ^= hashes >> np.uint64(32)
    # Shingles that reach into the next text are none.
    ends = np.cumsum(lengths)
    place = np.arange(len(hashes)) - np.repeat(ends - lengths, lengths)[: len(hashes)]
    hashes = hashes[place <= np.repeat(lengths, lengths)[: len(hashes)] - SHINGLE_CHARACTERS]
    counts = lengths - SHINGLE_CHARACTERS + 1
    starts = np.cumsum(counts) - counts
    draw = np.random.default_rng(seed)
    factors = draw.integers(0, 2**63, _NUM_HASHES, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    terms = draw.integers(0, 2**64, _NUM_HASHES, dtype=np.uint64)
    result = np.empty((len(texts), _NUM_HASHES), np.uint32)
    for k in range(_NUM_HASHES):
        # Multiply, add, keep the upper half (Dietzfelbinger et al. 1997).
        result[:, k] = np.minimum.reduceat(
            ((hashes * factors[k] + terms[k]) >> np.uint64(32)).astype(np.uint32), starts
        )
    return result


def bands(signed: NDArray[np.uint32]) -> NDArray[np.int64]:
    """A hash of each band of each signature, (N, 8); the same band at another place hashes otherwise."""
    parts = signed.reshape(len(signed), NUM_BANDS, BAND_HASHES).astype(np.uint64)
    found = np.broadcast_to(np.arange(NUM_BANDS, dtype=np.uint64), (len(signed), NUM_BANDS)).copy()
    for k in range(BAND_HASHES):
        found = (found ^ parts[:, :, k]) * _MIX
        found ^= found >> np.uint64(29)
    return found.view(np.int64)
