"""Further results from the texts: aspect sentiment, monthly sentiment, driving words, candidates for manual labelling."""

from functools import reduce
from operator import add

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.features import ANNOTATION_CANDIDATE, SEGMENT, TEXT
from crm_spark.contracts.scores import (
    CUSTOMER_SENTIMENT,
    DRIVING_WORD,
    PRODUCT_SENTIMENT,
    SCORE_ASPECT,
    SCORE_TEXT,
    WORD_ATTRIBUTION,
)
from crm_spark.core.context import JobContext, is_known
from crm_spark.core.shipping import shipped
from crm_spark.models.registry import ModelVersion, serving_order
from crm_spark.stages.score.aspect_sentiment import aspect_sentiment, clauses, mentions
from crm_spark.stages.score.aspects import load_aspects
from crm_spark.stages.score.backends import Choice
from crm_spark.stages.score.config import ScoreConfig
from crm_spark.stages.score.driving_words import driving_words, sampled, word_attributions
from crm_spark.stages.score.partitions import MIN_EXPLAINED, score_partitions
from crm_spark.stages.score.scorer import SCHEMA, make_scorer
from crm_spark.stages.score.sentiment import sentiment_by_month
from crm_spark.stages.score.stop_words import load_stop_words
from crm_spark.text.labels import LABELS
from crm_spark.text.predictions import current_predictions, sentiment


def write_insights(ctx: JobContext, texts: DataFrame, model: ModelVersion, choice: Choice) -> str:
    """Update features.annotation_candidate, scores.aspect, scores.driving_word and the sentiment tables from scores.text.

    Args:
        ctx: context of the stage.
        texts: result of `all_texts`.
        model: version in production.
        choice: inference engine.

    Returns:
        Summary for the log.
    """
    scored = ctx.tables.read(SCORE_TEXT).where(F.col("model_version") == model.version)
    # With a budget several runs have the same inputs; the number of scored texts makes the batch ids unique.
    state = f"{model.version}:{scored.count()}"
    if ctx.settings.score.annotation_candidates:
        _write_annotation_candidates(ctx, scored, state)
    num_texts = _write_aspects(ctx, texts, scored, model, choice, state)
    _write_sentiment(ctx, texts, state)
    num_explained = (
        _write_driving_words(ctx, texts, model, state) if ctx.settings.score.explain_texts_per_segment else 0
    )
    return f"aspects of {num_texts} texts, {num_explained} newly explained"


def _write_annotation_candidates(ctx: JobContext, scored: DataFrame, state: str) -> None:
    """Write the unrated texts with the highest prediction entropy."""
    rated = ctx.tables.read(TEXT).groupBy("text_hash").agg(F.max("label").alias("rated"))
    probabilities = [F.col(f"p_{label}") for label in LABELS]
    entropy = reduce(add, (F.when(p > 0, -p * F.log2(p)).otherwise(0.0) for p in probabilities))
    unrated = scored.join(rated.where(F.col("rated").isNull()), "text_hash")
    candidates = unrated.select("text_hash", F.col("label").alias("predicted_label"), entropy.alias("entropy_bits"))
    candidates = candidates.orderBy(F.desc("entropy_bits"), "text_hash").limit(ctx.settings.score.annotation_candidates)
    ctx.tables.replace(
        ANNOTATION_CANDIDATE, candidates, batch_id=ctx.batch_id(f"annotation_candidate:{state}"), digest=ctx.fingerprint
    )


def _write_aspects(
    ctx: JobContext, texts: DataFrame, scored: DataFrame, model: ModelVersion, choice: Choice, state: str
) -> int:
    """Write aspect sentiment of scored texts that have none yet for this model and these aspects; return their number."""
    cfg: ScoreConfig = ctx.settings.score
    aspects = load_aspects(cfg.aspects)
    if not aspects.names:
        return 0
    known = ctx.tables.read(SCORE_ASPECT)
    done = known.where((F.col("model_version") == model.version) & (F.col("aspects_version") == aspects.version))
    each = texts.groupBy("text_hash").agg(F.first("text").alias("text"), F.max("language").alias("language"))
    todo = each.join(scored.select("text_hash"), "text_hash", "left_semi")
    todo = todo.join(done.select("text_hash").distinct(), "text_hash", "left_anti")
    todo = todo.persist(StorageLevel.MEMORY_AND_DISK)
    if not (num_texts := todo.count()):
        return 0
    mentioned = mentions(todo, aspects).persist(StorageLevel.MEMORY_AND_DISK)
    probabilities = ["text_hash", *(f"p_{label}" for label in LABELS)]
    # A clause that equals a complete text is already scored.
    pending = clauses(mentioned).join(scored.select("text_hash"), "text_hash", "left_anti")
    score = make_scorer(shipped(ctx, model.folder), cfg, choice)
    scored_clauses = pending.repartition(score_partitions(ctx, num_texts), "text_hash").mapInPandas(score, SCHEMA)
    both = scored.select(*probabilities).unionByName(scored_clauses.select(*probabilities))
    rows = aspect_sentiment(mentioned, both, decision=model.decision)
    rows = rows.withColumns({"model_version": F.lit(model.version), "aspects_version": F.lit(aspects.version)}).select(
        *SCORE_ASPECT.column_names
    )
    keys = todo.select("text_hash", F.lit(model.version).alias("model_version"))
    batch_id = ctx.batch_id(f"aspect:{aspects.version}:{state}")
    ctx.tables.sync(SCORE_ASPECT, rows, keys=keys, batch_id=batch_id, digest=ctx.fingerprint)
    return num_texts


def _write_sentiment(ctx: JobContext, texts: DataFrame, state: str) -> None:
    """Replace both sentiment tables: re-scored texts and re-linked persons change past months."""
    predictions = current_predictions(ctx.tables, serving_order(ctx.files_root)).select(
        "text_hash", sentiment().alias("sentiment")
    )
    dated = texts.where(F.col("written_on") <= F.lit(ctx.as_of)).drop("text", "language")
    scored = dated.join(predictions, "text_hash").persist(StorageLevel.MEMORY_AND_DISK)
    for table, subject in ((CUSTOMER_SENTIMENT, ("customer_id",)), (PRODUCT_SENTIMENT, ("system", "product_id"))):
        rows = sentiment_by_month(scored.where(F.col(subject[-1]).isNotNull()), *subject)
        ctx.tables.replace(table, rows, batch_id=ctx.batch_id(f"sentiment:{state}"), digest=ctx.fingerprint)


def _write_driving_words(ctx: JobContext, texts: DataFrame, model: ModelVersion, state: str) -> int:
    """Write the driving words of a sample of each segment's texts; return the number of texts explained in this run."""
    cfg: ScoreConfig = ctx.settings.score
    segments = ctx.tables.read(SEGMENT).where(F.col("as_of") == F.lit(ctx.as_of)).select("customer_id", "segment_id")
    known = texts.where(is_known(F.col("written_on"), ctx.as_of) & F.col("customer_id").isNotNull())
    written = known.join(segments, "customer_id").select("segment_id", "text_hash", "customer_id").distinct()
    written = sampled(written, per_segment=cfg.explain_texts_per_segment, seed=ctx.seed)
    written = written.persist(StorageLevel.MEMORY_AND_DISK)
    num_explained = _explain(ctx, texts, written.select("text_hash").distinct(), model, state)
    attributions = _attributions(ctx, model)
    rows = driving_words(written, attributions, min_customers_per_cell=cfg.min_customers_per_cell)
    rows = rows.withColumns({"as_of": F.lit(ctx.as_of), "model_version": F.lit(model.version)})
    rows = rows.select(*DRIVING_WORD.column_names)
    where = {"as_of": ctx.as_of}
    ctx.tables.replace(DRIVING_WORD, rows, batch_id=ctx.batch_id(f"word:{state}"), digest=ctx.fingerprint, where=where)
    return num_explained


def _attributions(ctx: JobContext, model: ModelVersion) -> DataFrame:
    """Attributions by this model, without today's stop words."""
    stop_words = load_stop_words(ctx.settings.score.stop_words)
    of_model = F.col("model_version") == F.lit(model.version)
    return ctx.tables.read(WORD_ATTRIBUTION).where(
        of_model & (F.col("stop_words_version") == F.lit(stop_words.version))
    )


def _explain(ctx: JobContext, texts: DataFrame, sample: DataFrame, model: ModelVersion, state: str) -> int:
    """Add the attributions of sampled texts that have none yet; return the number of these texts."""
    cfg: ScoreConfig = ctx.settings.score
    stop_words = load_stop_words(cfg.stop_words)
    known = _attributions(ctx, model).select("text_hash").distinct()
    todo = sample if ctx.is_forced else sample.join(known, "text_hash", "left_anti")
    by_text = texts.join(todo, "text_hash", "left_semi").groupBy("text_hash")
    each = by_text.agg(F.first("text").alias("text"), F.max("language").alias("language"))
    each = each.persist(StorageLevel.MEMORY_AND_DISK)
    if not (num_texts := each.count()):
        return 0
    num_partitions = score_partitions(ctx, num_texts, at_least=MIN_EXPLAINED)
    spread = each.repartition(num_partitions, "text_hash")
    rows = word_attributions(spread, folder=shipped(ctx, model.folder), threads=cfg.threads, stop_words=stop_words)
    versions = {"model_version": F.lit(model.version), "stop_words_version": F.lit(stop_words.version)}
    ctx.tables.sync(
        WORD_ATTRIBUTION,
        rows.withColumns(versions).select(*WORD_ATTRIBUTION.column_names),
        keys=each.select("text_hash").withColumns(versions),
        batch_id=ctx.batch_id(f"attribution:{state}"),
        digest=ctx.fingerprint,
        is_unique=True,
    )
    return num_texts
