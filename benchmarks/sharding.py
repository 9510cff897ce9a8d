"""Shard stage compared with tokenisation of the same texts alone.

The stage redacts, removes names, finds repeated and near texts, tokenises, deals rows to groups, writes them, and looks for
doubtful labels; the peer calls the tokenizer's own batch method on all cores with the texts in memory.
"""

import argparse
import math
import os
import shutil
import time
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from benchmarks.figures import OUT, Figure
from crm_spark.contracts.gold import CUSTOMER_LINK
from crm_spark.contracts.silver import FEEDBACK
from crm_spark.core.context import JobContext
from crm_spark.core.log import get_logger
from crm_spark.core.session import build_session
from crm_spark.core.tables import TableStore
from crm_spark.settings import Settings, load_settings
from crm_spark.stages.shard import stage
from crm_spark.text.encoder import encoder_dir
from crm_spark.text.labels import LABELS
from crm_spark.text.tokenizer import load_tokenizer

SIZES = [200_000, 1_000_000]
NUM_WORDS, CHUNK = 6_000, 20_000


def run(arguments: argparse.Namespace) -> list[Figure]:
    """Measure the stage and the tokenizer alone at each size, and the growth of time."""
    settings = load_settings(Path("conf/local.yaml"), [])
    spark = build_session(settings.session, app_name="sharding benchmark")
    os.environ["TOKENIZERS_PARALLELISM"] = "true"  # for the comparison in this process; Spark has a worker per core
    figures, seconds = [], {}
    sizes = arguments.customers or SIZES
    for size in sizes:
        lake = OUT / f"sharding-{size}"
        ctx = context(spark, lake, settings)
        fill(ctx, size)
        started = time.monotonic()
        result = stage.run(ctx)
        seconds[size] = time.monotonic() - started
        alone = tokenising(ctx)
        label = f"{size:,} texts"
        figures += [
            Figure(f"{label}: shard stage", size / seconds[size], "texts/s"),
            Figure(f"{label}: tokenizer alone", size / alone, "texts/s"),
            Figure(
                f"{label}: stage relative to tokenizer alone", alone / seconds[size], "ratio", ">= 0.6", "tokenizer"
            ),
        ]
        print(result.note)
        spark.catalog.clearCache()
        shutil.rmtree(lake)
    if len(sizes) > 1:
        first, last = sizes[0], sizes[-1]
        exponent = math.log(seconds[last] / seconds[first]) / math.log(last / first)
        figures.append(Figure("growth: time exponent", exponent, "exponent", "<= 1.05", "1 is linear"))
    spark.stop()
    return figures


def context(spark: SparkSession, lake: Path, settings: Settings) -> JobContext:
    """Create a new lake."""
    shutil.rmtree(lake, ignore_errors=True)
    return JobContext(
        spark=spark,
        tables=TableStore(spark, str(lake)),
        settings=settings,
        as_of=date(2025, 12, 31),
        run_id="bench",
        fingerprint="f" * 64,
        started_at=datetime.now(UTC).replace(tzinfo=None),
        seed=7,
        files_root=lake / "files",
        log=get_logger(),
    )


def fill(ctx: JobContext, size: int) -> None:
    """Write a year of feedback: two texts per customer with a mean of 63 words of real word pieces."""
    vocabulary = load_tokenizer(encoder_dir("embedded"), None).get_vocab()
    words = sorted(word for word in vocabulary if word.isalpha() and word.isascii())[:NUM_WORDS]
    weights = 1 / np.arange(10, NUM_WORDS + 10)
    shares = np.cumsum(weights / weights.sum())

    def write(frames):
        for frame in frames:
            draw = np.random.default_rng(int(frame["id"].iloc[0]))
            lengths = np.clip(draw.normal(63, 27, len(frame)), 4, 120).astype(int)
            picked = np.searchsorted(shares, draw.random(lengths.sum()))
            ends = np.cumsum(lengths)
            yield pd.DataFrame(
                {
                    "id": frame["id"],
                    "plain_text": [
                        " ".join(words[min(k, NUM_WORDS - 1)] for k in picked[end - n : end])
                        for end, n in zip(ends, lengths)
                    ],
                    "label": [LABELS[k] for k in draw.choice(3, len(frame), p=[0.77, 0.11, 0.12])],
                    "day": draw.integers(0, 365, len(frame)),
                }
            )

    made = ctx.spark.range(size, numPartitions=8).mapInPandas(
        write, "id long, plain_text string, label string, day int"
    )
    text = F.col("id").cast("string")
    columns = {
        "system": F.lit("shop"),
        "source": F.lit("reviews"),
        "feedback_id": text,
        "person_id": (F.col("id") / 2).cast("long").cast("string"),
        "given_at": F.timestamp_seconds(F.lit(1735689600) + F.col("day") * 86400),
        "plain_text": F.col("plain_text"),
        "label": F.col("label"),
        "language": F.lit("en"),
    }
    rows = made.select(
        *(
            columns.get(field.name, _filler(field)).cast(field.dataType).alias(field.name)
            for field in FEEDBACK.schema.fields
        )
    )
    rows.write.format("delta").save(ctx.tables.path(FEEDBACK))
    people = ctx.spark.range(size // 2 + 1).select(
        F.lit("shop").alias("system"),
        F.col("id").cast("string").alias("person_id"),
        F.sha2(F.col("id").cast("string"), 256).alias("customer_id"),
        F.lit(None).cast("double").alias("match_probability"),
    )
    people.write.format("delta").save(ctx.tables.path(CUSTOMER_LINK))


def _filler(field):
    return F.lit(None) if field.nullable else F.lit("0")


def tokenising(ctx: JobContext) -> float:
    """Return the seconds of the tokenizer for the same texts, in memory on all cores."""
    tokenizer = load_tokenizer(encoder_dir("embedded"), ctx.settings.shard.max_length)
    frame = ctx.tables.read(FEEDBACK).select("plain_text")
    seconds = 0.0
    waiting: list[str] = []
    for row in frame.toLocalIterator(prefetchPartitions=False):
        waiting.append(row[0])
        if len(waiting) == CHUNK:
            seconds += _timed(tokenizer, waiting)
            waiting = []
    return seconds + (_timed(tokenizer, waiting) if waiting else 0.0)


def _timed(tokenizer, texts: list[str]) -> float:
    started = time.monotonic()
    tokenizer.encode_batch(texts)
    return time.monotonic() - started
