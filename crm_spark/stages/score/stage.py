"""Score: every text of silver read by the model in use, equal texts once, only what has not been read before."""

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
from crm_spark.core.stage import Stage
from crm_spark.models.registry import current_version, models_dir, open_model
from crm_spark.stages.score.aspects import load_aspects
from crm_spark.stages.score.backends import Choice, choose
from crm_spark.stages.score.config import ScoreConfig
from crm_spark.stages.score.newest_texts import newest_of
from crm_spark.stages.score.scorer import SCHEMA, make_scorer
from crm_spark.stages.score.text_insights import write_details
from crm_spark.text.prepare import all_texts

INPUTS = (FEEDBACK, INTERACTION, CUSTOMER, CUSTOMER_LINK, SEGMENT)


def inputs(ctx: JobContext) -> dict[str, Any]:
    """The model in use, and the words that aspects are known by."""
    return {"model": current_version(ctx.files_root), "aspects": load_aspects(ctx.settings.score.aspects).version}


def must_run(ctx: JobContext) -> bool:
    """A budget left texts that the model in use has not read yet."""
    version = current_version(ctx.files_root)
    if version is None or ctx.settings.score.rescore_texts is None or not ctx.tables.exists(TEXT):
        return False
    texts = ctx.tables.read(TEXT).select("text_hash").distinct()
    return not texts.join(_read_by(ctx, version), "text_hash", "left_anti").isEmpty()


def run(ctx: JobContext) -> StageResult:
    """Reads what is new, and of what an earlier model has read as much as the budget allows."""
    cfg: ScoreConfig = ctx.settings.score
    version = current_version(ctx.files_root)
    if version is None:
        return skipped("there is no model in use to read texts with")
    model = open_model(models_dir(ctx.files_root) / version)
    texts = all_texts(ctx.tables).persist(StorageLevel.MEMORY_AND_DISK)
    columns = texts.select(*TEXT.column_names)
    ctx.tables.merge(TEXT, columns, batch_id=ctx.batch_id("text"), digest=ctx.fingerprint)
    done = _read_by(ctx, version)
    unread = texts.groupBy("text_hash").agg(F.first("text").alias("text"), F.max("written_on").alias("written_on"))
    unread = unread.join(done, "text_hash", "left_anti").persist(StorageLevel.MEMORY_AND_DISK)
    wanted, num_unread = unread, unread.count()
    if cfg.rescore_texts is not None:
        wanted = _within_budget(ctx, unread, cfg.rescore_texts).persist(StorageLevel.MEMORY_AND_DISK)
    num_wanted = wanted.count()
    choice = choose(model, cfg, num_texts=num_wanted)
    recipe = make_scorer(str(model.folder.resolve()), cfg, choice)
    read = wanted.select("text_hash", "text").repartition(cfg.num_partitions, "text_hash").mapInPandas(recipe, SCHEMA)
    read = read.withColumn("model_version", F.lit(version)).select(*SCORE_TEXT.column_names)
    # Under a budget the same inputs are worked on in several runs: what is done already tells them apart.
    part = "score" if cfg.rescore_texts is None else f"score:{version}:{done.count()}"
    started = time.monotonic()
    result = ctx.tables.merge(SCORE_TEXT, read, batch_id=ctx.batch_id(part), digest=ctx.fingerprint, insert_only=True)
    seconds = time.monotonic() - started
    said = f"{_said(ctx, choice, num_wanted, seconds)}; {write_details(ctx, texts, model, choice)}"
    left = (
        f"; {num_unread - num_wanted} are read by the model before until their turn" if num_unread > num_wanted else ""
    )
    return StageResult(result.num_rows, note=f"model {version}, {said}{left}")


def _read_by(ctx: JobContext, version: str) -> DataFrame:
    """Grain: text_hash. What a model has read."""
    return ctx.tables.read(SCORE_TEXT).where(F.col("model_version") == version).select("text_hash")


def _within_budget(ctx: JobContext, unread: DataFrame, num_texts: int) -> DataFrame:
    """What no model has read, and so many of the others."""
    known = ctx.tables.read(SCORE_TEXT).select("text_hash").distinct()
    new, old = unread.join(known, "text_hash", "left_anti"), unread.join(known, "text_hash", "left_semi")
    return new.unionByName(newest_of(old, num_texts))


def _said(ctx: JobContext, choice: Choice, num_texts: int, seconds: float) -> str:
    """How fast it went and what a million texts cost at that rate, writing and waiting included."""
    cfg: ScoreConfig = ctx.settings.score
    if not num_texts:
        return "nothing to read"
    rate = num_texts / seconds
    hours = 1e6 / rate / 3600 * ctx.spark.sparkContext.defaultParallelism
    price = (
        "" if cfg.core_hour_price is None else f", {hours * cfg.core_hour_price:.2f} {ctx.settings.company.currency}"
    )
    return f"{rate:.0f} texts/s, {hours:.1f} core hours{price} a million, with {choice}"


STAGE = Stage("score", run, reads=INPUTS, inputs=inputs, must_run=must_run)
