"""What the page says of what customers talk about. Every list is small, and none is about fewer customers than may be."""

from datetime import date, timedelta
from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from crm_spark.contracts.features import NO_ASPECT, SCORE_ASPECT, SCORE_WORD, SEGMENT_PROFILE, TEXT_OF
from crm_spark.contracts.gold import CUSTOMER_LINK
from crm_spark.contracts.silver import PRODUCT
from crm_spark.core.context import is_known
from crm_spark.core.tables import TableStore
from crm_spark.text.readings import readings, tone

Rows = list[dict[str, Any]]
_MOST_MONTHS, _MOST_PRODUCTS, _MOST_WORDS = 24, 5, 6
_NOTICEABLE = 2.0
"""Standard errors from which a change is shown."""


def topic_facts(
    tables: TableStore, versions: tuple[str, ...], as_of: date, *, horizon_days: int, least_customers: int
) -> dict[str, Rows]:
    """All of them, by the names they have among the facts.

    Args:
        tables: the lake.
        versions: of bundles whose readings count, the one in use first.
        as_of: what was written later is not known yet.
        horizon_days: changes are of the last so many days on as many before.
        least_customers: who must have written what is counted.
    """
    said = _said(tables, versions, as_of)
    return {
        "aspects": aspects(said, tables.read(SCORE_ASPECT), least_customers),
        "tone_by_month": tone_by_month(said, least_customers),
        "product_tone": product_tone(said, tables.read(PRODUCT), as_of, horizon_days, least_customers),
        "segment_words": segment_words(tables, as_of, least_customers),
    }


def _said(tables: TableStore, versions: tuple[str, ...], as_of: date) -> DataFrame:
    """Grain: system x noun x record_id. Every text with its writer, day, product and tone."""
    links = tables.read(CUSTOMER_LINK).select("system", "person_id", "customer_id")
    texts = (
        tables.read(TEXT_OF).where(is_known(F.col("written_on"), as_of)).join(links, ["system", "person_id"], "left")
    )
    # Where nobody is named each text has a writer of its own.
    writer = F.coalesce("customer_id", F.concat_ws(":", "system", F.coalesce("person_id", "record_id"))).alias("writer")
    counted = readings(tables, versions).select("text_hash", "bundle_version", tone().alias("tone"))
    return texts.select("system", "product_id", "written_on", "text_hash", writer).join(counted, "text_hash")


def aspects(said: DataFrame, scored: DataFrame, least_customers: int) -> Rows:
    """aspect, n, tone, standard_error; most talked about first."""
    spoken = scored.where(F.col("aspect") != NO_ASPECT).select("text_hash", "bundle_version", "aspect", "tone")
    found = said.drop("tone").join(spoken, ["text_hash", "bundle_version"])
    return _rows(_toned(found, least_customers, "aspect").orderBy(F.desc("n"), "aspect"))


def tone_by_month(said: DataFrame, least_customers: int) -> Rows:
    """month, n, tone, standard_error; the last two years, in their order."""
    dated = said.where(F.col("written_on").isNotNull()).withColumn("month", F.date_format("written_on", "yyyy-MM"))
    return _rows(_toned(dated, least_customers, "month").orderBy(F.desc("month")).limit(_MOST_MONTHS))[::-1]


def product_tone(said: DataFrame, products: DataFrame, as_of: date, horizon_days: int, least_customers: int) -> Rows:
    """system, product_id, name, before, now, n_before, n_now, change: the products whose tone fell and rose most.

    Only changes of more than two standard errors.
    """
    middle, start = (as_of - timedelta(days=days) for days in (horizon_days, 2 * horizon_days))
    recent = said.where(F.col("product_id").isNotNull() & (F.col("written_on") > F.lit(start)))
    keys = ["system", "product_id"]
    sides = {"now": F.col("written_on") > F.lit(middle), "before": F.col("written_on") <= F.lit(middle)}
    now, before = (
        _toned(recent.where(is_in), least_customers, *keys).select(
            *keys,
            F.col("n").alias(f"n_{side}"),
            F.col("tone").alias(side),
            F.col("standard_error").alias(f"error_{side}"),
        )
        for side, is_in in sides.items()
    )
    error = F.sqrt(F.col("error_now") ** 2 + F.col("error_before") ** 2)
    both = now.join(before, keys).withColumn("change", F.col("now") - F.col("before"))
    both = both.where(F.abs("change") > _NOTICEABLE * error).drop("error_now", "error_before").persist()
    fell = both.where("change < 0").orderBy("change", *keys).limit(_MOST_PRODUCTS)
    rose = both.where("change > 0").orderBy(F.desc("change"), *keys).limit(_MOST_PRODUCTS)
    named = fell.unionByName(rose).join(products.select(*keys, "name"), keys, "left")
    return _rows(named.orderBy("change", *keys))


def segment_words(tables: TableStore, as_of: date, least_customers: int) -> Rows:
    """Segment's name, label, word, mean_share, num_texts: the words that speak most for a verdict."""
    day = F.col("as_of") == F.lit(as_of)
    words = tables.read(SCORE_WORD).where(day & (F.col("mean_share") > 0) & (F.col("num_customers") >= least_customers))
    order = Window.partitionBy("segment_id", "label").orderBy(F.desc("mean_share"), "word")
    first = words.withColumn("_rank", F.row_number().over(order)).where(F.col("_rank") <= _MOST_WORDS)
    names = tables.read(SEGMENT_PROFILE).where(day).select("segment_id", "name", "revenue_fraction")
    ordered = first.join(F.broadcast(names), "segment_id").orderBy(F.desc("revenue_fraction"), "name", "label", "_rank")
    return _rows(ordered.select("name", "label", "word", "mean_share", "num_texts"))


def _toned(said: DataFrame, least_customers: int, *keys: str) -> DataFrame:
    """Grain: keys. Number of texts, mean tone and its standard error, where enough customers wrote."""
    error = F.stddev_samp("tone") / F.sqrt(F.count(F.lit(1)))
    found = said.groupBy(*keys).agg(
        F.count(F.lit(1)).alias("n"),
        F.count_distinct("writer").alias("num_customers"),
        F.mean("tone").alias("tone"),
        error.alias("standard_error"),
    )
    return found.where(F.col("num_customers") >= least_customers).drop("num_customers")


def _rows(frame: DataFrame) -> Rows:
    return [row.asDict() for row in frame.collect()]
