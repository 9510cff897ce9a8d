"""What the page says of what customers talk about. Every list is small, and none is about fewer customers than may be."""

from datetime import date, timedelta
from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from crm_spark.contracts.features import SEGMENT_PROFILE, TEXT
from crm_spark.contracts.gold import CUSTOMER_LINK
from crm_spark.contracts.scores import DRIVING_WORD, NO_ASPECT, SCORE_ASPECT
from crm_spark.contracts.silver import PRODUCT
from crm_spark.core.context import is_known
from crm_spark.core.tables import TableStore
from crm_spark.text.predictions import readings, sentiment

Rows = list[dict[str, Any]]
_MOST_MONTHS, _MOST_PRODUCTS, _MOST_WORDS = 24, 5, 6
_NOTICEABLE = 2.0
"""Standard errors from which a change is shown."""


def topic_facts(
    tables: TableStore, versions: tuple[str, ...], as_of: date, *, horizon_days: int, min_customers_per_cell: int
) -> dict[str, Rows]:
    """All of them, by the names they have among the facts.

    Args:
        tables: the lake.
        versions: of models whose readings count, the one in use first.
        as_of: what was written later is not known yet.
        horizon_days: changes are of the last so many days on as many before.
        min_customers_per_cell: who must have written what is counted.
    """
    said = _said(tables, versions, as_of)
    return {
        "aspects": aspects(said, tables.read(SCORE_ASPECT), min_customers_per_cell),
        "sentiment_by_month": sentiment_by_month(said, min_customers_per_cell),
        "product_sentiment": product_sentiment(said, tables.read(PRODUCT), as_of, horizon_days, min_customers_per_cell),
        "segment_words": segment_words(tables, as_of, min_customers_per_cell),
    }


def _said(tables: TableStore, versions: tuple[str, ...], as_of: date) -> DataFrame:
    """Grain: system x entity x record_id. Every text with its writer, day, product and sentiment."""
    links = tables.read(CUSTOMER_LINK).select("system", "person_id", "customer_id")
    texts = tables.read(TEXT).where(is_known(F.col("written_on"), as_of)).join(links, ["system", "person_id"], "left")
    # Where nobody is named each text has a writer of its own.
    writer = F.coalesce("customer_id", F.concat_ws(":", "system", F.coalesce("person_id", "record_id"))).alias("writer")
    counted = readings(tables, versions).select("text_hash", "model_version", sentiment().alias("sentiment"))
    return texts.select("system", "product_id", "written_on", "text_hash", writer).join(counted, "text_hash")


def aspects(said: DataFrame, scored: DataFrame, min_customers_per_cell: int) -> Rows:
    """aspect, n, sentiment, standard_error; most talked about first."""
    spoken = scored.where(F.col("aspect") != NO_ASPECT).select("text_hash", "model_version", "aspect", "sentiment")
    found = said.drop("sentiment").join(spoken, ["text_hash", "model_version"])
    return _rows(_with_sentiment(found, min_customers_per_cell, "aspect").orderBy(F.desc("n"), "aspect"))


def sentiment_by_month(said: DataFrame, min_customers_per_cell: int) -> Rows:
    """month, n, sentiment, standard_error; the last two years, in their order."""
    dated = said.where(F.col("written_on").isNotNull()).withColumn("month", F.date_format("written_on", "yyyy-MM"))
    return _rows(_with_sentiment(dated, min_customers_per_cell, "month").orderBy(F.desc("month")).limit(_MOST_MONTHS))[
        ::-1
    ]


def product_sentiment(
    said: DataFrame, products: DataFrame, as_of: date, horizon_days: int, min_customers_per_cell: int
) -> Rows:
    """system, product_id, name, before, now, n_before, n_now, change: the products whose sentiment fell and rose most.

    Only changes of more than two standard errors.
    """
    middle, start = (as_of - timedelta(days=days) for days in (horizon_days, 2 * horizon_days))
    recent = said.where(F.col("product_id").isNotNull() & (F.col("written_on") > F.lit(start)))
    keys = ["system", "product_id"]
    sides = {"now": F.col("written_on") > F.lit(middle), "before": F.col("written_on") <= F.lit(middle)}
    now, before = (
        _with_sentiment(recent.where(is_in), min_customers_per_cell, *keys).select(
            *keys,
            F.col("n").alias(f"n_{side}"),
            F.col("sentiment").alias(side),
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


def segment_words(tables: TableStore, as_of: date, min_customers_per_cell: int) -> Rows:
    """Segment's name, label, word, mean_attribution, num_texts: the words that speak most for a verdict."""
    day = F.col("as_of") == F.lit(as_of)
    words = tables.read(DRIVING_WORD).where(
        day & (F.col("mean_attribution") > 0) & (F.col("num_customers") >= min_customers_per_cell)
    )
    order = Window.partitionBy("segment_id", "label").orderBy(F.desc("mean_attribution"), "word")
    first = words.withColumn("_rank", F.row_number().over(order)).where(F.col("_rank") <= _MOST_WORDS)
    names = tables.read(SEGMENT_PROFILE).where(day).select("segment_id", "name", "revenue_fraction")
    ordered = first.join(F.broadcast(names), "segment_id").orderBy(F.desc("revenue_fraction"), "name", "label", "_rank")
    return _rows(ordered.select("name", "label", "word", "mean_attribution", "num_texts"))


def _with_sentiment(said: DataFrame, min_customers_per_cell: int, *keys: str) -> DataFrame:
    """Grain: keys. Number of texts, mean sentiment and its standard error, where enough customers wrote."""
    error = F.stddev_samp("sentiment") / F.sqrt(F.count(F.lit(1)))
    found = said.groupBy(*keys).agg(
        F.count(F.lit(1)).alias("n"),
        F.count_distinct("writer").alias("num_customers"),
        F.mean("sentiment").alias("sentiment"),
        error.alias("standard_error"),
    )
    return found.where(F.col("num_customers") >= min_customers_per_cell).drop("num_customers")


def _rows(frame: DataFrame) -> Rows:
    return [row.asDict() for row in frame.collect()]
