"""Sentiment of each aspect of a text, predicted from the clauses that mention it."""

from collections.abc import Callable, Iterator, Sequence

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.scores import NO_ASPECT
from crm_spark.stages.score.aspects import Aspects
from crm_spark.text.labels import LABELS
from crm_spark.text.predictions import sentiment

_MENTION_SCHEMA = "text_hash string, aspect string, clause string"
_PROBABILITIES = [f"p_{label}" for label in LABELS]


def mentions(texts: DataFrame, aspects: Aspects) -> DataFrame:
    """Grain: text_hash x clause x aspect. A text without any aspect has one row with aspect `none` and no clause.

    Args:
        texts: text_hash, text, language.
        aspects: word lists. Matched in Python because the patterns differ by language.
    """
    mentioned = texts.select("text_hash", "text", "language").mapInPandas(_find_mentions(aspects), _MENTION_SCHEMA)
    return mentioned.withColumn("clause_hash", F.sha2("clause", 256))


def _find_mentions(aspects: Aspects) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    def find(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for frame in frames:
            rows: list[tuple[str, str, str | None]] = []
            for text_hash, text, language in zip(frame["text_hash"], frame["text"], frame["language"]):
                mentions_of_text = aspects.mentions(text, language)
                rows += [(text_hash, *mention) for mention in mentions_of_text] or [(text_hash, NO_ASPECT, None)]
            yield pd.DataFrame(rows, columns=["text_hash", "aspect", "clause"], dtype=object)

    return find


def clauses(mentioned: DataFrame) -> DataFrame:
    """Grain: text_hash (of the clause). Distinct clauses to score."""
    with_clause = mentioned.where(F.col("clause").isNotNull()).groupBy(F.col("clause_hash").alias("text_hash"))
    return with_clause.agg(F.first("clause").alias("text"))


def aspect_sentiment(mentioned: DataFrame, scored: DataFrame, *, decision: Sequence[float]) -> DataFrame:
    """Grain: text_hash x aspect. num_clauses, sentiment and label from the mean probabilities of the clauses.

    Args:
        mentioned: result of `mentions`.
        scored: probabilities of each clause, by text_hash.
        decision: weight of each label, in the order of LABELS.
    """
    probabilities = scored.select(F.col("text_hash").alias("clause_hash"), *_PROBABILITIES)
    means = [F.mean(name).alias(name) for name in _PROBABILITIES]
    by_aspect = mentioned.join(probabilities, "clause_hash", "left").groupBy("text_hash", "aspect")
    averaged = by_aspect.agg(F.count("clause").cast("int").alias("num_clauses"), *means)
    weighted = [F.struct(F.col(f"p_{k}") * F.lit(float(w)), F.lit(k).alias("label")) for k, w in zip(LABELS, decision)]
    label = F.when(F.col("num_clauses") > 0, F.array_max(F.array(*weighted))["label"])
    return averaged.select(
        "text_hash", "aspect", "num_clauses", F.round(sentiment(), 6).alias("sentiment"), label.alias("label")
    )
