"""Words that drive the labels of each segment's texts, by integrated gradients on a sample.

The attributions of a text cost about 50 forward passes, hence the sample.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

import pandas as pd
from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

from crm_spark.core.shipping import located
from crm_spark.models.registry import open_model
from crm_spark.stages.score.stop_words import StopWords
from crm_spark.text.words import normalised

if TYPE_CHECKING:  # the driver plans and needs no PyTorch
    from crm_spark.text.attributions import Explainer

_ATTRIBUTION_SCHEMA = "text_hash string, label string, word string, attribution double"
_MAX_STEPS = 16
"""Few integration steps suffice: the errors of single texts average out."""


def sampled(written: DataFrame, *, per_segment: int, seed: int) -> DataFrame:
    """Return the rows of at most `per_segment` texts per segment, sampled by text hash so that new texts change little.

    Args:
        written: segment_id, text_hash, customer_id.
        per_segment: number of texts.
        seed: of the sample.
    """
    order = Window.partitionBy("segment_id").orderBy(F.xxhash64(F.lit(seed), F.col("text_hash")), "text_hash")
    each = written.select("segment_id", "text_hash").distinct().withColumn("_rank", F.row_number().over(order))
    sample = each.where(F.col("_rank") <= per_segment).drop("_rank")
    return written.join(F.broadcast(sample), ["segment_id", "text_hash"], "left_semi")


def word_attributions(texts: DataFrame, *, folder: str, threads: int, stop_words: StopWords) -> DataFrame:
    """Grain: text_hash x word. Predicted label of the text and total attribution of the word to it.

    A text without words other than stop words has one row with an empty word.

    Args:
        texts: text_hash, text, language.
        folder: of the model, from `shipped`.
        threads: of each worker.
        stop_words: words to leave out.
    """
    return texts.select("text_hash", "text", "language").mapInPandas(
        _explain_texts(folder, threads, stop_words), _ATTRIBUTION_SCHEMA
    )


@cache
def cached_explainer(folder: str, threads: int) -> "Explainer":
    """Return the explainer of this process, loaded once."""
    from crm_spark.text.attributions import Explainer

    return Explainer(open_model(located(folder)), max_steps=_MAX_STEPS, threads=threads)


def _explain_texts(
    folder: str, threads: int, stop_words: StopWords
) -> Callable[[Iterator[pd.DataFrame]], Iterator[pd.DataFrame]]:
    def explain(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        for frame in frames:
            rows: list[tuple[str, str, str, float]] = []
            for text_hash, text, language in zip(frame["text_hash"], frame["text"], frame["language"]):
                explanation = cached_explainer(folder, threads).explain(text)
                attributions: dict[str, float] = {}
                for word in explanation.words:
                    if name := normalised(word.word):
                        attributions[name] = attributions.get(name, 0.0) + word.attribution
                omitted = stop_words.of(language, attributions)
                kept = {name: value for name, value in attributions.items() if name not in omitted} or {"": 0.0}
                rows += [(text_hash, explanation.label, name, attribution) for name, attribution in kept.items()]
            yield pd.DataFrame(rows, columns=["text_hash", "label", "word", "attribution"])

    return explain


def driving_words(written: DataFrame, attributions: DataFrame, *, min_customers_per_cell: int) -> DataFrame:
    """Grain: segment_id x label x word. Number of texts and customers, and mean attribution over the texts.

    Args:
        written: segment_id, text_hash, customer_id of the sampled texts.
        attributions: result of `word_attributions`.
        min_customers_per_cell: smallest number of customers of the segment per word.
    """
    writers = Window.partitionBy("segment_id", "text_hash")
    each = written.withColumn(
        "weight", 1 / F.count(F.lit(1)).over(writers)
    )  # equal texts of several customers count as one
    grouped = (
        attributions.where("word <> ''")
        .join(each, "text_hash")
        .groupBy("segment_id", "label", "word")
        .agg(
            F.count_distinct("text_hash").alias("num_texts"),
            F.count_distinct("customer_id").alias("num_customers"),
            F.round(F.sum(F.col("attribution") * F.col("weight")) / F.sum("weight"), 6).alias("mean_attribution"),
        )
    )
    return grouped.where(F.col("num_customers") >= min_customers_per_cell)
