"""Near-duplicates of texts in held-out splits, which would leak test data into training.

Texts are compared only with the first text of a band, so that a band of a million texts costs a million rows.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.stages.shard.minhash import NUM_HASHES
from crm_spark.text.manifest import TEST, VALIDATION

MIN_SIMILARITY = 0.7
"""Smallest Jaccard similarity of near-duplicates."""


def near_duplicates(assigned: DataFrame) -> DataFrame:
    """Grain: text_hash. Texts that are near-duplicates of a text in an earlier split: test, validation, training.

    `near_duplicate_hash` is the most similar text, `similarity` the estimated Jaccard similarity. Texts shorter than a
    shingle have no near-duplicates.

    Args:
        assigned: text_hash, split, signature, bands; one row per text.
    """
    split_rank = F.when(F.col("split") == TEST, 0).when(F.col("split") == VALIDATION, 1).otherwise(2)
    # Shuffle an 8-byte id instead of the 64-byte hash; colliding ids are still compared by signature.
    numbered = assigned.select(
        F.xxhash64("text_hash").alias("id"), split_rank.alias("split_rank"), "text_hash", "signature", "bands"
    )
    banded = numbered.select("id", "split_rank", F.explode("bands").alias("band"))
    shared = banded.groupBy("band").agg(
        F.min(F.struct("split_rank", "id")).alias("first"), F.max("split_rank").alias("last")
    )
    # Most bands have a single text or texts of one split; few rows remain.
    shared = shared.where((F.col("first.split_rank") < 2) & (F.col("last") > F.col("first.split_rank")))
    pairs = banded.join(shared, "band").where(F.col("split_rank") > F.col("first.split_rank"))
    pairs = pairs.select("id", F.col("first.id").alias("duplicate_id")).distinct()
    first = numbered.select(
        F.col("id").alias("duplicate_id"),
        F.col("text_hash").alias("near_duplicate_hash"),
        F.col("signature").alias("duplicate_signature"),
    )
    compared = pairs.join(numbered.select("id", "text_hash", "signature"), "id").join(first, "duplicate_id")
    similar = compared.select("text_hash", "near_duplicate_hash", _similarity().alias("similarity"))
    nearest = F.max(F.struct("similarity", "near_duplicate_hash")).alias("nearest")
    similar = similar.where(F.col("similarity") >= MIN_SIMILARITY).groupBy("text_hash").agg(nearest)
    return similar.select(
        "text_hash",
        F.col("nearest.near_duplicate_hash").alias("near_duplicate_hash"),
        F.col("nearest.similarity").alias("similarity"),
    )


def _similarity() -> Column:
    """Return the fraction of equal MinHashes of two signatures."""
    is_equal = F.zip_with("signature", "duplicate_signature", lambda one, other: (one == other).cast("int"))
    return F.aggregate(is_equal, F.lit(0), lambda total, one: total + one) / F.lit(NUM_HASHES)
