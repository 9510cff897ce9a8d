"""The words that drive the verdicts on each segment's texts, in a sample: integrated gradients cost some 50 readings a text."""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from crm_spark.models.registry import open_model
from crm_spark.text.words import folded

if TYPE_CHECKING:  # the driver plans and needs no PyTorch
    from crm_spark.text.attributions import Explainer

_SHARE = "text_hash string, label string, word string, share double"
_MOST_STEPS = 16
"""Over many texts what one explanation leaves over evens out."""


def sampled(written: DataFrame, *, per_segment: int, seed: int) -> DataFrame:
    """The rows of at most so many texts of each segment, drawn by a hash of the text: more texts do not change the draw.

    Args:
        written: segment_id, text_hash, customer_id.
        per_segment: texts.
        seed: of the draw.
    """
    order = Window.partitionBy("segment_id").orderBy(F.xxhash64(F.lit(seed), F.col("text_hash")), "text_hash")
    each = written.select("segment_id", "text_hash").distinct().withColumn("_rank", F.row_number().over(order))
    drawn = each.where(F.col("_rank") <= per_segment).drop("_rank")
    return written.join(F.broadcast(drawn), ["segment_id", "text_hash"], "left_semi")


def word_shares(texts: DataFrame, *, folder: str, threads: int) -> DataFrame:
    """Grain: text_hash x word. The verdict on the text, and what the word adds to it wherever it stands.

    Args:
        texts: text_hash, text.
        folder: the model's.
        threads: of each worker.
    """
    return texts.select("text_hash", "text").mapInPandas(_explaining(folder, threads), _SHARE)


@cache
def cached_explainer(folder: str, threads: int) -> "Explainer":
    """The explainer of this process."""
    from crm_spark.text.attributions import Explainer

    return Explainer(open_model(Path(folder)), most_steps=_MOST_STEPS, threads=threads)


def _explaining(folder: str, threads: int) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    def explain(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for frame in frames:
            rows: list[tuple[str, str, str, float]] = []
            for text_hash, text in zip(frame["text_hash"], frame["text"]):
                found = cached_explainer(folder, threads).explain(text)
                shares: dict[str, float] = {}
                for word in found.words:
                    if name := folded(word.word):
                        shares[name] = shares.get(name, 0.0) + word.share
                rows += [(text_hash, found.label, name, share) for name, share in shares.items()]
            yield pd.DataFrame(rows, columns=["text_hash", "label", "word", "share"])

    return explain


def driving_words(written: DataFrame, shares: DataFrame, *, min_customers_per_cell: int) -> DataFrame:
    """Grain: segment_id x label x word. Number of texts and customers, and the mean share over the texts.

    Args:
        written: segment_id, text_hash, customer_id of the texts that were explained.
        shares: what `word_shares` found.
        min_customers_per_cell: a word that fewer of the segment wrote is left out.
    """
    writers = Window.partitionBy("segment_id", "text_hash")
    each = written.withColumn("weight", 1 / F.count(F.lit(1)).over(writers))  # equal texts of many count as one
    found = (
        shares.join(each, "text_hash")
        .groupBy("segment_id", "label", "word")
        .agg(
            F.count_distinct("text_hash").alias("num_texts"),
            F.count_distinct("customer_id").alias("num_customers"),
            F.round(F.sum(F.col("share") * F.col("weight")) / F.sum("weight"), 6).alias("mean_attribution"),
        )
    )
    return found.where(F.col("num_customers") >= min_customers_per_cell)
