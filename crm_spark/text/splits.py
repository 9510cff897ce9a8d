"""Which side a text is on: train, validation or test. A hash decides, so every stage and every run says the same."""

from pyspark.sql import Column
from pyspark.sql import functions as F

from crm_spark.text.manifest import TEST, TRAIN, VALIDATION

TEST_PER_MILLE, VALIDATION_PER_MILLE = 200, 100


def side(customer_id: Column, text_hash: Column, *, seed: int) -> Column:
    """The side by the writer, or by the text where nobody is named: all texts of a customer are on one side."""
    key = F.coalesce(customer_id, text_hash)
    draw = F.pmod(F.xxhash64(F.lit(seed), key), F.lit(1000))
    held_out = F.when(draw < TEST_PER_MILLE, TEST).when(draw < TEST_PER_MILLE + VALIDATION_PER_MILLE, VALIDATION)
    return held_out.otherwise(TRAIN)


def is_unseen(customer_id: Column, text_hash: Column, *, seed: int) -> Column:
    """Whether a labelled text is on the test side."""
    return side(customer_id, text_hash, seed=seed) == TEST
