"""Which split a text is on: train, validation or test. No customer and no text is on two."""

from datetime import date

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from crm_spark.text.manifest import TEST, TRAIN, VALIDATION

TEST_SHARE, VALIDATION_SHARE = 0.2, 0.1
"""Of all texts; the others are learned from."""
EARLIER = "earlier_text"
"""No split: an older text of a customer whose newer ones are on the test split."""
KEY = ("system", "entity", "record_id")
"""Of a text."""
SPLIT_BY = (*KEY, "customer_id", "text_hash", "written_on")
"""All that a split depends on."""
_PER_MILLE = 1000
_LEAST_DATED, _LEAST_TEST, _LEAST_KEPT = 0.9, 0.05, 0.5


def newest_from(labelled: DataFrame) -> date | None:
    """The first day of the newest fifth of the texts; null where a test split by time would be no good one.

    That is so where a tenth of the texts has no day, where a single day holds so many that no twentieth is left for the
    test split, or where those who wrote lately wrote half of all that came before: it would be lost to the training.

    Args:
        labelled: customer_id, text_hash, written_on.
    """
    days = {row["written_on"]: row["count"] for row in labelled.groupBy("written_on").count().collect()}
    total, undated = sum(days.values()), days.pop(None, 0)
    if not days or undated > (1 - _LEAST_DATED) * total:
        return None
    num_test, found = 0, None
    for day in sorted(days, reverse=True):
        if num_test + days[day] > TEST_SHARE * total:
            break
        num_test, found = num_test + days[day], day
    if found is None or num_test < _LEAST_TEST * total:
        return None
    is_new = _is_new(F.col("written_on"), found)
    writers = labelled.groupBy(_writer(F.col("customer_id"), F.col("text_hash"))).agg(
        F.max(is_new).alias("wrote_lately"), F.count_if(~is_new).alias("num_earlier")
    )
    [(num_earlier,)] = writers.where("wrote_lately").agg(F.sum("num_earlier")).collect()
    return found if num_earlier <= (1 - _LEAST_KEPT) * (total - num_test) else None


def assign_splits(labelled: DataFrame, *, test_from: date | None, seed: int) -> DataFrame:
    """Grain: text_hash. Each text once, with `split`; one that stands on several splits goes to the test split first.

    Args:
        labelled: SPLIT_BY; what else there is stays beside it.
        test_from: what was written from this day on is the test split; null: it is drawn by customer.
        seed: of the draw.
    """
    customer, text, day = F.col("customer_id"), F.col("text_hash"), F.col("written_on")
    split = (
        _drawn(customer, text, seed=seed) if test_from is None else _by_time(customer, text, day, test_from, seed=seed)
    )
    assigned = labelled.withColumn("split", split)
    order = F.when(F.col("split") == TEST, 0).when(F.col("split") == VALIDATION, 1)
    order = order.when(F.col("split") == TRAIN, 2).otherwise(3)
    first = Window.partitionBy("text_hash").orderBy(order, *KEY)
    return assigned.withColumn("_rank", F.row_number().over(first)).where("_rank = 1").drop("_rank")


def _writer(customer_id: Column, text_hash: Column) -> Column:
    """The text stands for its writer where nobody is named."""
    return F.coalesce(customer_id, text_hash)


def _draw(customer_id: Column, text_hash: Column, *, seed: int) -> Column:
    """A number from 0 to 999 of the writer."""
    return F.pmod(F.xxhash64(F.lit(seed), _writer(customer_id, text_hash)), F.lit(_PER_MILLE))


def _drawn(customer_id: Column, text_hash: Column, *, seed: int) -> Column:
    draw = _draw(customer_id, text_hash, seed=seed)
    test, validation = TEST_SHARE * _PER_MILLE, (TEST_SHARE + VALIDATION_SHARE) * _PER_MILLE
    return F.when(draw < test, TEST).when(draw < validation, VALIDATION).otherwise(TRAIN)


def _is_new(written_on: Column, test_from: date) -> Column:
    return F.coalesce(written_on >= F.lit(test_from), F.lit(False))


def _by_time(customer_id: Column, text_hash: Column, written_on: Column, test_from: date, *, seed: int) -> Column:
    is_new = _is_new(written_on, test_from)
    writer = Window.partitionBy(_writer(customer_id, text_hash))
    draw = _draw(customer_id, text_hash, seed=seed)
    of_others = F.when(draw < VALIDATION_SHARE / (1 - TEST_SHARE) * _PER_MILLE, VALIDATION).otherwise(TRAIN)
    return F.when(is_new, TEST).when(F.max(is_new).over(writer), EARLIER).otherwise(of_others)
