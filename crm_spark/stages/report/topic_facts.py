"""Facts about customer texts: sentiment by aspect, month and product, words that drive the score.

Every list is short and based on at least `min_customers_per_cell` customers per row.
"""

from datetime import date, timedelta
from typing import Any

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from crm_spark.contracts.features import SEGMENT_PROFILE, TEXT
from crm_spark.contracts.scores import DRIVING_WORD, NO_ASPECT, SCORE_ASPECT
from crm_spark.contracts.silver import PRODUCT
from crm_spark.core.context import is_known
from crm_spark.core.tables import TableStore
from crm_spark.customers.links import with_customer_id
from crm_spark.text.predictions import current_predictions, sentiment

Rows = list[dict[str, Any]]
_MAX_MONTHS, _MAX_PRODUCTS, _MAX_WORDS = 24, 5, 6
_MIN_STANDARD_ERRORS = 2.0
"""Smallest change that is reported, in standard errors."""


def topic_facts(
    tables: TableStore, versions: tuple[str, ...], as_of: date, *, horizon_days: int, min_customers_per_cell: int
) -> dict[str, Rows]:
    """Return aspects, sentiment_by_month, product_sentiment and segment_words, named as in `Facts`.

    Args:
        tables: tables of the lake.
        versions: text model versions in order of precedence, see `current_predictions`.
        as_of: texts written after this day are ignored.
        horizon_days: product changes compare this period with the equally long one before.
        min_customers_per_cell: smallest number of customers per row.
    """
    scored = _scored_texts(tables, versions, as_of)
    return {
        "aspects": aspects(scored, tables.read(SCORE_ASPECT), min_customers_per_cell),
        "sentiment_by_month": sentiment_by_month(scored, min_customers_per_cell),
        "product_sentiment": product_sentiment(
            scored, tables.read(PRODUCT), as_of, horizon_days, min_customers_per_cell
        ),
        "segment_words": segment_words(tables, as_of, min_customers_per_cell),
    }


def _scored_texts(tables: TableStore, versions: tuple[str, ...], as_of: date) -> DataFrame:
    """Grain: system x entity x record_id. Texts with writer, day, product and sentiment."""
    texts = with_customer_id(tables.read(TEXT).where(is_known(F.col("written_on"), as_of)), tables, how="left")
    # A text without a person counts as written by a customer of its own.
    writer = F.coalesce("customer_id", F.concat_ws(":", "system", F.coalesce("person_id", "record_id"))).alias("writer")
    predictions = current_predictions(tables, versions).select(
        "text_hash", "model_version", sentiment().alias("sentiment")
    )
    return texts.select("system", "product_id", "written_on", "text_hash", writer).join(predictions, "text_hash")


def aspects(texts: DataFrame, scored: DataFrame, min_customers_per_cell: int) -> Rows:
    """Return aspect, n, sentiment, standard_error; most frequent aspect first."""
    sentiments = scored.where(F.col("aspect") != NO_ASPECT).select("text_hash", "model_version", "aspect", "sentiment")
    mentions = texts.drop("sentiment").join(sentiments, ["text_hash", "model_version"])
    return _rows(_with_sentiment(mentions, min_customers_per_cell, "aspect").orderBy(F.desc("n"), "aspect"))


def sentiment_by_month(texts: DataFrame, min_customers_per_cell: int) -> Rows:
    """Return month, n, sentiment, standard_error of the last 24 months, oldest first."""
    dated = texts.where(F.col("written_on").isNotNull()).withColumn("month", F.date_format("written_on", "yyyy-MM"))
    return _rows(_with_sentiment(dated, min_customers_per_cell, "month").orderBy(F.desc("month")).limit(_MAX_MONTHS))[
        ::-1
    ]


def product_sentiment(
    texts: DataFrame, products: DataFrame, as_of: date, horizon_days: int, min_customers_per_cell: int
) -> Rows:
    """Return system, product_id, name, before, now, n_before, n_now, change of the products with the largest changes.

    Only changes of more than two standard errors are included.
    """
    middle, start = (as_of - timedelta(days=days) for days in (horizon_days, 2 * horizon_days))
    recent = texts.where(F.col("product_id").isNotNull() & (F.col("written_on") > F.lit(start)))
    keys = ["system", "product_id"]
    periods = {"now": F.col("written_on") > F.lit(middle), "before": F.col("written_on") <= F.lit(middle)}
    now, before = (
        _with_sentiment(recent.where(is_in), min_customers_per_cell, *keys).select(
            *keys,
            F.col("n").alias(f"n_{period}"),
            F.col("sentiment").alias(period),
            F.col("standard_error").alias(f"error_{period}"),
        )
        for period, is_in in periods.items()
    )
    error = F.sqrt(F.col("error_now") ** 2 + F.col("error_before") ** 2)
    both = now.join(before, keys).withColumn("change", F.col("now") - F.col("before"))
    both = both.where(F.abs("change") > _MIN_STANDARD_ERRORS * error).drop("error_now", "error_before").persist()
    fell = both.where("change < 0").orderBy("change", *keys).limit(_MAX_PRODUCTS)
    rose = both.where("change > 0").orderBy(F.desc("change"), *keys).limit(_MAX_PRODUCTS)
    named = fell.unionByName(rose).join(products.select(*keys, "name"), keys, "left")
    return _rows(named.orderBy("change", *keys))


def segment_words(tables: TableStore, as_of: date, min_customers_per_cell: int) -> Rows:
    """Return segment name, label, word, mean_attribution, num_texts of the words that drive each label most."""
    day = F.col("as_of") == F.lit(as_of)
    words = tables.read(DRIVING_WORD).where(
        day & (F.col("mean_attribution") > 0) & (F.col("num_customers") >= min_customers_per_cell)
    )
    order = Window.partitionBy("segment_id", "label").orderBy(F.desc("mean_attribution"), "word")
    first = words.withColumn("_rank", F.row_number().over(order)).where(F.col("_rank") <= _MAX_WORDS)
    names = tables.read(SEGMENT_PROFILE).where(day).select("segment_id", "name", "revenue_fraction")
    ordered = first.join(F.broadcast(names), "segment_id").orderBy(F.desc("revenue_fraction"), "name", "label", "_rank")
    return _rows(ordered.select("name", "label", "word", "mean_attribution", "num_texts"))


def _with_sentiment(texts: DataFrame, min_customers_per_cell: int, *keys: str) -> DataFrame:
    """Grain: keys. Number of texts, mean sentiment and its standard error; only groups with enough customers."""
    error = F.stddev_samp("sentiment") / F.sqrt(F.count(F.lit(1)))
    grouped = texts.groupBy(*keys).agg(
        F.count(F.lit(1)).alias("n"),
        F.count_distinct("writer").alias("num_customers"),
        F.mean("sentiment").alias("sentiment"),
        error.alias("standard_error"),
    )
    return grouped.where(F.col("num_customers") >= min_customers_per_cell).drop("num_customers")


def _rows(frame: DataFrame) -> Rows:
    return [row.asDict() for row in frame.collect()]
