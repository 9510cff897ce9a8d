"""Assign texts to train, validation and test; no customer and no text is in two splits."""

from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from crm_spark.text.manifest import TEST, TRAIN, VALIDATION

TEST_FRACTION, VALIDATION_FRACTION = 0.2, 0.1
"""Fractions of all texts; the rest is the training split."""
EARLIER = "earlier_text"
"""Marks older texts of customers in the test split; these texts are dropped."""
KEY = ("system", "entity", "record_id")
"""Key of a text."""
SPLIT_BY = (*KEY, "customer_id", "text_hash", "written_on")
"""Columns the assignment depends on."""
_PER_MILLE = 1000
_MIN_DATED, _MIN_TEST, _MIN_KEPT = 0.9, 0.05, 0.5


def newest_from(labelled: DataFrame) -> date | None:
    """Return the first day of the newest 20% of the texts, or None if a split by time is not useful.

    Conditions: at most 10% of the texts are undated, the test split has at least 5% of the texts, and dropping earlier
    texts of its customers leaves at least half of the other texts.

    Args:
        labelled: customer_id, text_hash, written_on.
    """
    days = {row["written_on"]: row["count"] for row in labelled.groupBy("written_on").count().collect()}
    total, undated = sum(days.values()), days.pop(None, 0)
    if not days or undated > (1 - _MIN_DATED) * total:
        return None
    num_test, first_day = 0, None
    for day in sorted(days, reverse=True):
        if num_test + days[day] > TEST_FRACTION * total:
            break
        num_test, first_day = num_test + days[day], day
    if first_day is None or num_test < _MIN_TEST * total:
        return None
    is_new = _is_new(F.col("written_on"), first_day)
    writers = labelled.groupBy(_writer(F.col("customer_id"), F.col("text_hash"))).agg(
        F.max(is_new).alias("has_new_text"), F.count_if(~is_new).alias("num_earlier")
    )
    [(num_earlier,)] = writers.where("has_new_text").agg(F.sum("num_earlier")).collect()
    return first_day if num_earlier <= (1 - _MIN_KEPT) * (total - num_test) else None


def assign_splits(labelled: DataFrame, *, test_from: date | None, seed: int) -> DataFrame:
    """Grain: text_hash. Adds `split`; equal texts in several splits are kept in the test split, then validation.

    Args:
        labelled: columns of SPLIT_BY; further columns are kept.
        test_from: texts written from this day on are the test split; None: a random sample of customers.
        seed: of the sample.
    """
    customer, text, day = F.col("customer_id"), F.col("text_hash"), F.col("written_on")
    split = (
        _random_split(customer, text, seed=seed)
        if test_from is None
        else _split_by_time(customer, text, day, test_from, seed=seed)
    )
    assigned = labelled.withColumn("split", split)
    order = F.when(F.col("split") == TEST, 0).when(F.col("split") == VALIDATION, 1)
    order = order.when(F.col("split") == TRAIN, 2).otherwise(3)
    first = Window.partitionBy("text_hash").orderBy(order, *KEY)
    return assigned.withColumn("_rank", F.row_number().over(first)).where("_rank = 1").drop("_rank")


def _writer(customer_id: Column, text_hash: Column) -> Column:
    """Return the customer id, or the text hash if the writer is unknown."""
    return F.coalesce(customer_id, text_hash)


def _draw(customer_id: Column, text_hash: Column, *, seed: int) -> Column:
    """Return a pseudo-random number from 0 to 999 per writer."""
    return F.pmod(F.xxhash64(F.lit(seed), _writer(customer_id, text_hash)), F.lit(_PER_MILLE))


def _random_split(customer_id: Column, text_hash: Column, *, seed: int) -> Column:
    draw = _draw(customer_id, text_hash, seed=seed)
    test, validation = TEST_FRACTION * _PER_MILLE, (TEST_FRACTION + VALIDATION_FRACTION) * _PER_MILLE
    return F.when(draw < test, TEST).when(draw < validation, VALIDATION).otherwise(TRAIN)


def _is_new(written_on: Column, test_from: date) -> Column:
    return F.coalesce(written_on >= F.lit(test_from), F.lit(False))


def _split_by_time(customer_id: Column, text_hash: Column, written_on: Column, test_from: date, *, seed: int) -> Column:
    is_new = _is_new(written_on, test_from)
    writer = Window.partitionBy(_writer(customer_id, text_hash))
    draw = _draw(customer_id, text_hash, seed=seed)
    of_others = F.when(draw < VALIDATION_FRACTION / (1 - TEST_FRACTION) * _PER_MILLE, VALIDATION).otherwise(TRAIN)
    return F.when(is_new, TEST).when(F.max(is_new).over(writer), EARLIER).otherwise(of_others)
