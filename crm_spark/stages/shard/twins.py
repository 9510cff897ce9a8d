"""Texts that nearly repeat one of a held-out side. What they teach would be asked for again in the test.

MinHash over shingles of five characters (Broder 1997) cut into bands (Leskovec, Rajaraman, Ullman: Mining of Massive
Datasets, 3.4): with 8 bands of 8 hashes a pair of similarity 0.9 is found in 99 of 100 cases, of 0.8 in 77, of 0.5 in 3.
No pair is built: rows meet in their bands, so a phrase that stands in a million texts costs a million rows.
"""

from pyspark.ml.feature import HashingTF, MinHashLSH, NGram
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.text.manifest import TEST, VALIDATION

NUM_BANDS, BAND_HASHES, SHINGLE_CHARACTERS = 8, 8, 5
LEAST_SIMILARITY = 0.7
"""Below it two texts that share a band say different things in part with the same words."""
MAX_CHARACTERS = 4_000
"""Of a longer text its beginning tells it: the model reads no more of it either."""
_NUM_FEATURES = 1 << 20


def near_held_out(sided: DataFrame, *, seed: int) -> DataFrame:
    """Grain: text_hash. The texts that nearly repeat one of a side before theirs: test, then validation, then training.

    `twin_hash` is the most similar of those found, `similarity` the Jaccard similarity of the shingles as the
    signatures tell it. A text of fewer characters than a shingle has no near text.

    Args:
        sided: text_hash, text, split; each text once.
        seed: of the hash functions.
    """
    bands = F.explode(F.array(*(_band(i) for i in range(NUM_BANDS)))).alias("band")
    banded = _signed(sided, seed=seed).select("text_hash", "turn", "signature", bands)
    first = banded.groupBy("band").agg(F.min(F.struct("turn", "text_hash", "signature")).alias("first"))
    met = banded.join(first.where("first.turn < 2"), "band").where(F.col("turn") > F.col("first.turn"))
    is_equal = F.zip_with("signature", "first.signature", lambda a, b: (a == b).cast("int"))
    num_equal = F.aggregate(is_equal, F.lit(0), lambda total, one: total + one)
    nearest = F.max(F.struct(num_equal.alias("num_equal"), F.col("first.text_hash").alias("twin_hash"))).alias(
        "nearest"
    )
    similarity = F.col("nearest.num_equal") / F.lit(NUM_BANDS * BAND_HASHES)
    found = met.groupBy("text_hash").agg(nearest)
    found = found.select("text_hash", F.col("nearest.twin_hash").alias("twin_hash"), similarity.alias("similarity"))
    return found.where(F.col("similarity") >= LEAST_SIMILARITY)


def _signed(sided: DataFrame, *, seed: int) -> DataFrame:
    """Grain: text_hash, of texts with a shingle. `signature`: the hash of each MinHash; `turn`: the order of the side."""
    letters = F.lower(F.trim(F.regexp_replace(F.substring("text", 1, MAX_CHARACTERS), r"[^\p{L}\p{N}]+", " ")))
    turn = F.when(F.col("split") == TEST, 0).when(F.col("split") == VALIDATION, 1).otherwise(2)
    texts = sided.select("text_hash", turn.alias("turn"), F.split(letters, "").alias("letters"))
    texts = texts.where(F.size("letters") >= SHINGLE_CHARACTERS)
    shingles = NGram(n=SHINGLE_CHARACTERS, inputCol="letters", outputCol="shingles").transform(texts)
    hashing = HashingTF(inputCol="shingles", outputCol="features", numFeatures=_NUM_FEATURES, binary=True)
    vectors = hashing.transform(shingles)
    lsh = MinHashLSH(inputCol="features", outputCol="hashes", numHashTables=NUM_BANDS * BAND_HASHES, seed=seed)
    hashed = lsh.fit(vectors).transform(vectors)
    return hashed.select("text_hash", "turn", F.transform("hashes", lambda h: F.xxhash64(h)).alias("signature"))


def _band(i: int) -> Column:
    return F.xxhash64(F.lit(i), F.slice("signature", i * BAND_HASHES + 1, BAND_HASHES))
