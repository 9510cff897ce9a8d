"""How each text speaks of each aspect: the model's reading of the clauses that mention it."""

from collections.abc import Callable, Iterator, Sequence

import pandas as pd
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.scores import NO_ASPECT
from crm_spark.stages.score.aspects import Aspects
from crm_spark.text.labels import LABELS
from crm_spark.text.predictions import sentiment

_MENTION = "text_hash string, aspect string, clause string"
_SHARES = [f"p_{label}" for label in LABELS]


def mentions(texts: DataFrame, aspects: Aspects) -> DataFrame:
    """Grain: text_hash x clause x aspect. A text that speaks of no aspect has one row, `none` without a clause.

    Args:
        texts: text_hash, text, language.
        aspects: what to look for; plain Python, since patterns differ by language.
    """
    found = texts.select("text_hash", "text", "language").mapInPandas(_finder(aspects), _MENTION)
    return found.withColumn("clause_hash", F.sha2("clause", 256))


def _finder(aspects: Aspects) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    def find(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for frame in frames:
            rows: list[tuple[str, str, str | None]] = []
            for text_hash, text, language in zip(frame["text_hash"], frame["text"], frame["language"]):
                found = aspects.mentions(text, language)
                rows += [(text_hash, *mention) for mention in found] or [(text_hash, NO_ASPECT, None)]
            yield pd.DataFrame(rows, columns=["text_hash", "aspect", "clause"], dtype=object)

    return find


def clauses(mentioned: DataFrame) -> DataFrame:
    """Grain: text_hash, that of a clause taken as a text. What the mentions have the model read."""
    named = mentioned.where(F.col("clause").isNotNull()).groupBy(F.col("clause_hash").alias("text_hash"))
    return named.agg(F.first("clause").alias("text"))


def aspect_sentiment(mentioned: DataFrame, read: DataFrame, *, decision: Sequence[float]) -> DataFrame:
    """Grain: text_hash x aspect. num_clauses, sentiment and label by the mean of the clauses' probabilities.

    Args:
        mentioned: what `mentions` found.
        read: probabilities of each clause, by text_hash.
        decision: weights of the verdicts, in the order of LABELS.
    """
    shares = read.select(F.col("text_hash").alias("clause_hash"), *_SHARES)
    means = [F.mean(name).alias(name) for name in _SHARES]
    by_aspect = mentioned.join(shares, "clause_hash", "left").groupBy("text_hash", "aspect")
    found = by_aspect.agg(F.count("clause").cast("int").alias("num_clauses"), *means)
    weighed = [F.struct(F.col(f"p_{k}") * F.lit(float(w)), F.lit(k).alias("label")) for k, w in zip(LABELS, decision)]
    label = F.when(F.col("num_clauses") > 0, F.array_max(F.array(*weighed))["label"])
    return found.select(
        "text_hash", "aspect", "num_clauses", F.round(sentiment(), 6).alias("sentiment"), label.alias("label")
    )
