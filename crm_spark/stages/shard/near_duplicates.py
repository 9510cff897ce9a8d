"""Texts that nearly repeat one of a held-out split. What they teach would be asked for again in the test.

No pair is built but with the first text of a band: a phrase that stands in a million texts costs a million rows.
"""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.stages.shard.minhash import NUM_HASHES
from crm_spark.text.manifest import TEST, VALIDATION

LEAST_SIMILARITY = 0.7
"""Below it two texts that share a band say different things in part with the same words."""


def near_duplicates(assigned: DataFrame) -> DataFrame:
    """Grain: text_hash. The texts that nearly repeat one of a split before theirs: test, then validation, then training.

    `near_duplicate_hash` is the most similar of those found, `similarity` the Jaccard similarity of the shingles as the
    signatures tell it. A text of fewer characters than a shingle has no near text.

    Args:
        assigned: text_hash, split, signature, bands; each text once.
    """
    turn = F.when(F.col("split") == TEST, 0).when(F.col("split") == VALIDATION, 1).otherwise(2)
    # Eight bytes for a text's sixty-four: what is shuffled is little else. Two texts of one number are compared in any case.
    numbered = assigned.select(
        F.xxhash64("text_hash").alias("id"), turn.alias("turn"), "text_hash", "signature", "bands"
    )
    banded = numbered.select("id", "turn", F.explode("bands").alias("band"))
    met = banded.groupBy("band").agg(F.min(F.struct("turn", "id")).alias("first"), F.max("turn").alias("last"))
    # Most bands hold one text, or texts of one split: what is left is small.
    met = met.where((F.col("first.turn") < 2) & (F.col("last") > F.col("first.turn")))
    pairs = banded.join(met, "band").where(F.col("turn") > F.col("first.turn"))
    pairs = pairs.select("id", F.col("first.id").alias("duplicate_id")).distinct()
    first = numbered.select(
        F.col("id").alias("duplicate_id"),
        F.col("text_hash").alias("near_duplicate_hash"),
        F.col("signature").alias("twin_signature"),
    )
    compared = pairs.join(numbered.select("id", "text_hash", "signature"), "id").join(first, "duplicate_id")
    found = compared.select("text_hash", "near_duplicate_hash", _similarity().alias("similarity"))
    nearest = F.max(F.struct("similarity", "near_duplicate_hash")).alias("nearest")
    found = found.where(F.col("similarity") >= LEAST_SIMILARITY).groupBy("text_hash").agg(nearest)
    return found.select(
        "text_hash",
        F.col("nearest.near_duplicate_hash").alias("near_duplicate_hash"),
        F.col("nearest.similarity").alias("similarity"),
    )


def _similarity() -> Column:
    """The share of MinHashes that two signatures have in common."""
    is_equal = F.zip_with("signature", "twin_signature", lambda one, other: (one == other).cast("int"))
    return F.aggregate(is_equal, F.lit(0), lambda total, one: total + one) / F.lit(NUM_HASHES)
