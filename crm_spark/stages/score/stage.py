"""Score: every text of silver read by the bundle in use, equal texts once, only what has not been read before."""

from typing import Any

from pyspark import StorageLevel
from pyspark.sql import functions as F

from crm_spark.contracts.features import SCORE_TEXT, TEXT_OF
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.silver import FEEDBACK, INTERACTION
from crm_spark.core.context import JobContext, StageResult, skipped
from crm_spark.stages.score.backends import choose
from crm_spark.stages.score.config import ScoreConfig
from crm_spark.stages.score.scorer import SCHEMA, make_scorer
from crm_spark.text.bundle import bundles_dir, current_version, open_bundle
from crm_spark.text.prepare import all_texts

INPUTS = (FEEDBACK, INTERACTION, CUSTOMER, CUSTOMER_LINK)


def inputs(ctx: JobContext) -> dict[str, Any]:
    """The bundle in use."""
    return {"bundle": current_version(ctx.files_root)}


def run(ctx: JobContext) -> StageResult:
    """Reads what is new."""
    cfg: ScoreConfig = ctx.settings.score
    version = current_version(ctx.files_root)
    if version is None:
        return skipped("there is no bundle in use to read texts with")
    bundle = open_bundle(bundles_dir(ctx.files_root) / version)
    texts = all_texts(ctx.tables).persist(StorageLevel.MEMORY_AND_DISK)
    columns = [c for c in TEXT_OF.column_names]
    ctx.tables.merge(TEXT_OF, texts.select(*columns), batch_id=ctx.batch_id("text"), digest=ctx.fingerprint)
    done = ctx.tables.read(SCORE_TEXT).where(F.col("bundle_version") == version).select("text_hash")
    fresh = texts.groupBy("text_hash").agg(F.first("text").alias("text")).join(done, "text_hash", "left_anti")
    recipe = make_scorer(str(bundle.folder.resolve()), cfg)
    read = fresh.repartition(cfg.num_partitions, "text_hash").mapInPandas(recipe, SCHEMA)
    read = read.withColumn("bundle_version", F.lit(version)).select(*SCORE_TEXT.column_names)
    result = ctx.tables.merge(
        SCORE_TEXT, read, batch_id=ctx.batch_id("score"), digest=ctx.fingerprint, insert_only=True
    )
    return StageResult(result.num_rows, note=f"bundle {version}, read with {choose(bundle, cfg)}")
