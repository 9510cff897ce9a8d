"""Decides whether the shard set is kept, and with it the text model, or written again from today's labelled texts."""

from datetime import date
from pathlib import Path
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.features import EXAMPLE, TEXT, TRAINING_RECORD
from crm_spark.contracts.scores import SCORE_TEXT
from crm_spark.contracts.silver import FEEDBACK
from crm_spark.core.context import JobContext
from crm_spark.core.errors import ArtifactError
from crm_spark.core.hashing import sha256_of
from crm_spark.models.registry import current_version
from crm_spark.models.retrain import Changes, Losses, RetrainPolicy, reason_to_retrain
from crm_spark.text.labels import LABELS
from crm_spark.text.manifest import MANIFEST, TEST, ShardManifest, current_shards, read_manifest

_FLOOR = 1e-6
"""Smallest probability in a cross-entropy, as in the information gap."""


def provenance(ctx: JobContext, num_labelled: int) -> dict[str, Any]:
    """What the manifest says about the data, the settings and the code of a shard set.

    Args:
        ctx: context of the stage.
        num_labelled: number of labelled texts in silver.
    """
    return {"as_of": str(ctx.as_of), "num_labelled": num_labelled, "settings": _settings_digest(ctx)}


def _settings_digest(ctx: JobContext) -> str:
    settings = ctx.settings.shard.model_dump(mode="json", exclude={"retrain"})
    zone = ctx.settings.company.time_zone
    return sha256_of({"shard": settings, "seed": ctx.seed, "time_zone": zone, "code": ctx.code})


def reason_to_keep(ctx: JobContext) -> str:
    """Why the current shard set is kept, as a sentence for the log; empty if a new one is due or there is none."""
    made = _current_manifest(ctx)
    if made is None or made.inputs.get("settings") != _settings_digest(ctx) or unfinished_sets(ctx.files_root):
        return ""
    policy: RetrainPolicy = ctx.settings.shard.retrain
    new = new_records(ctx).persist(StorageLevel.MEMORY_AND_DISK)
    num_new, num_then = new.count(), int(made.inputs["num_labelled"])
    age_days = (ctx.as_of - date.fromisoformat(made.inputs["as_of"])).days
    former, newer = _losses(ctx, new) if num_new >= policy.min_compared else (None, None)
    changes = Changes(num_then, num_new, age_days, former, newer)
    # Without new labels, a new model would be the old one, whatever its age.
    if num_new and (reason := reason_to_retrain(policy, changes, examples="labelled texts")):
        ctx.log.info("shard      new training data: %s", reason)
        return ""
    return f"kept the shard set of {made.inputs['as_of']}: {num_new:,} labelled texts since then, beside {num_then:,}"


def _current_manifest(ctx: JobContext) -> ShardManifest | None:
    """Manifest of the current set, whose files `train` verifies; None if there is none, or it is damaged."""
    folder = current_shards(ctx.files_root)
    try:
        return None if folder is None else read_manifest(folder, is_verifying=False)
    except ArtifactError as error:
        ctx.log.warning("shard      %s It is written again.", error)
        return None


def unfinished_sets(files_root: Path) -> list[Path]:
    """Folders of shard sets without a manifest: a run that was writing them ended, and the tables may describe them."""
    return sorted(path for path in (files_root / "shards").glob("*/") if not (path / MANIFEST).exists())


def labelled_records(ctx: JobContext) -> DataFrame:
    """Grain: system x record_id. Feedback with a label and a text, for features.training_record."""
    has_text = F.concat_ws("", "plain_title", "plain_text").rlike(r"\S")
    labelled = ctx.tables.read(FEEDBACK).where(F.col("label").isNotNull() & has_text)
    return labelled.select("system", F.col("feedback_id").alias("record_id"), "label")


def new_records(ctx: JobContext) -> DataFrame:
    """Grain: system x record_id. Labelled records that the shard set lacks, or has with another label."""
    return labelled_records(ctx).join(ctx.tables.read(TRAINING_RECORD), list(TRAINING_RECORD.column_names), "left_anti")


def _losses(ctx: JobContext, new: DataFrame) -> tuple[Losses | None, Losses | None]:
    """Cross-entropy (bits per text) of the model in production: on its test split, and on newer labelled texts."""
    texts = ctx.tables.read(TEXT).where((F.col("entity") == "feedback") & F.col("label").isNotNull())
    examples = ctx.tables.read(EXAMPLE)
    scores = ctx.tables.read(SCORE_TEXT).where(F.col("model_version") == F.lit(current_version(ctx.files_root)))
    scores = scores.select("text_hash", *(f"p_{label}" for label in LABELS))
    newer = texts.join(new, ["system", "record_id", "label"], "left_semi")
    newer = newer.join(examples, "text_hash", "left_anti")  # the model has not been trained on them
    former = texts.join(examples.where(F.col("split") == TEST), "text_hash", "left_semi")
    return _loss(former, scores), _loss(newer, scores)


def _loss(texts: DataFrame, scores: DataFrame) -> Losses | None:
    distinct = texts.groupBy("text_hash").agg(F.min_by("label", "record_id").alias("label"))
    bits = -F.log2(F.greatest(_probability_of_label(), F.lit(_FLOOR)))
    row = distinct.join(scores, "text_hash").agg(F.avg(bits), F.stddev_samp(bits), F.count(F.lit(1))).first()
    return Losses(row[0], row[1], row[2]) if row is not None and row[2] > 1 else None


def _probability_of_label() -> Column:
    return F.coalesce(*(F.when(F.col("label") == label, F.col(f"p_{label}")) for label in LABELS), F.lit(0.0))
