"""Score stage: predict the label of every new text with the model in production; equal texts are scored once."""

import time
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.features import SEGMENT, TEXT
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.scores import SCORE_TEXT
from crm_spark.contracts.silver import FEEDBACK, INTERACTION
from crm_spark.core.context import JobContext, StageResult, skipped
from crm_spark.core.log import number_of
from crm_spark.core.shipping import shipped
from crm_spark.core.stage import Stage
from crm_spark.models.registry import current_version, models_dir, open_model
from crm_spark.stages.score.aspects import load_aspects
from crm_spark.stages.score.backends import Choice, choose
from crm_spark.stages.score.config import ScoreConfig
from crm_spark.stages.score.newest_texts import newest_of
from crm_spark.stages.score.partitions import score_partitions
from crm_spark.stages.score.scorer import SCHEMA, make_scorer
from crm_spark.stages.score.stop_words import load_stop_words
from crm_spark.stages.score.text_insights import write_insights
from crm_spark.text.prepare import all_texts

_MIN_MEASURED = 200
"""Fewer texts take as long as loading the model: their throughput says nothing about millions."""
INPUTS = (FEEDBACK, INTERACTION, CUSTOMER, CUSTOMER_LINK, SEGMENT)


def inputs(ctx: JobContext) -> dict[str, Any]:
    """Return the versions of the model in production, the aspects and the stop words."""
    cfg: ScoreConfig = ctx.settings.score
    return {
        "model": current_version(ctx.files_root),
        "aspects": load_aspects(cfg.aspects).version,
        "stop_words": load_stop_words(cfg.stop_words).version,
    }


def must_run(ctx: JobContext) -> bool:
    """Return whether `rescore_texts` left texts without a score by the model in production."""
    version = current_version(ctx.files_root)
    if version is None or ctx.settings.score.rescore_texts is None or not ctx.tables.exists(TEXT):
        return False
    texts = ctx.tables.read(TEXT).select("text_hash").distinct()
    return not texts.join(_scored_by(ctx, version), "text_hash", "left_anti").isEmpty()


def run(ctx: JobContext) -> StageResult:
    """Score new texts, and re-score texts of earlier models within the budget."""
    cfg: ScoreConfig = ctx.settings.score
    version = current_version(ctx.files_root)
    if version is None:
        return skipped("needs a text model in production; there is none")
    model = open_model(models_dir(ctx.files_root) / version)
    texts = all_texts(ctx.tables, ctx.settings.company.time_zone).persist(StorageLevel.MEMORY_AND_DISK)
    columns = texts.select(*TEXT.column_names)
    ctx.tables.merge(TEXT, columns, batch_id=ctx.batch_id("text"), digest=ctx.fingerprint, is_unique=True)
    scored = _scored_by(ctx, version)
    unscored = texts.groupBy("text_hash").agg(F.first("text").alias("text"), F.max("written_on").alias("written_on"))
    if not ctx.is_forced:
        unscored = unscored.join(scored, "text_hash", "left_anti")
    unscored = unscored.persist(StorageLevel.MEMORY_AND_DISK)
    pending, num_unscored = unscored, unscored.count()
    if cfg.rescore_texts is not None:
        pending = _within_budget(ctx, unscored, cfg.rescore_texts).persist(StorageLevel.MEMORY_AND_DISK)
    num_pending = pending.count()
    choice = choose(model, cfg, num_texts=num_pending)
    score = make_scorer(shipped(ctx, model.folder), cfg, choice)
    predictions = (
        pending.select("text_hash", "text")
        .repartition(score_partitions(ctx, num_pending), "text_hash")
        .mapInPandas(score, SCHEMA)
    )
    predictions = predictions.withColumn("model_version", F.lit(version)).select(*SCORE_TEXT.column_names)
    # With a budget several runs have the same inputs; the number of scored texts makes the batch id unique.
    part = "score" if cfg.rescore_texts is None else f"score:{version}:{scored.count()}"
    started = time.monotonic()
    result = ctx.tables.merge(
        SCORE_TEXT,
        predictions,
        batch_id=ctx.batch_id(part),
        digest=ctx.fingerprint,
        insert_only=not ctx.is_forced,
        is_unique=True,
    )
    seconds = time.monotonic() - started
    note = f"model {version}, {_throughput(ctx, choice, num_pending, seconds)}; {write_insights(ctx, texts, model, choice)}"
    if num_unscored > num_pending:
        note += f"; {num_unscored - num_pending} texts keep the predictions of the previous model for now"
    return StageResult(result.num_rows, note=note)


def _scored_by(ctx: JobContext, version: str) -> DataFrame:
    """Grain: text_hash. Texts scored by a model version."""
    return ctx.tables.read(SCORE_TEXT).where(F.col("model_version") == version).select("text_hash")


def _within_budget(ctx: JobContext, unscored: DataFrame, num_texts: int) -> DataFrame:
    """Return all texts without any score, and the newest `num_texts` of the others."""
    known = ctx.tables.read(SCORE_TEXT).select("text_hash").distinct()
    new, old = unscored.join(known, "text_hash", "left_anti"), unscored.join(known, "text_hash", "left_semi")
    return new.unionByName(newest_of(old, num_texts))


def _throughput(ctx: JobContext, choice: Choice, num_texts: int, seconds: float) -> str:
    """Return the throughput including writes, and the cost per million texts, for the log."""
    cfg: ScoreConfig = ctx.settings.score
    if not num_texts:
        return "no new texts"
    if num_texts < _MIN_MEASURED:
        return f"{number_of(num_texts, 'new text')}, {choice}"
    rate = num_texts / seconds
    hours = 1e6 / rate / 3600 * ctx.spark.sparkContext.defaultParallelism
    price = (
        "" if cfg.core_hour_price is None else f", {hours * cfg.core_hour_price:.2f} {ctx.settings.company.currency}"
    )
    return f"{rate:.0f} texts/s, {hours:.1f} core hours{price} per million texts, {choice}"


STAGE = Stage("score", run, reads=INPUTS, inputs=inputs, must_run=must_run)
