"""Shard: labelled texts -> equal Parquet row groups and a manifest. No customer, text or near text is on two sides."""

import shutil
from pathlib import Path
from typing import Any

from pyspark.sql import DataFrame, SparkSession, Window
from pyspark.sql import functions as F

from crm_spark.contracts.features import TEXT_TWIN
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.silver import FEEDBACK
from crm_spark.core.context import JobContext, StageResult, skipped
from crm_spark.stages.shard.config import ShardConfig
from crm_spark.stages.shard.twins import near_held_out
from crm_spark.stages.shard.writing import SCHEMA, group_writer
from crm_spark.text.manifest import MANIFEST, SPLITS, TEST, VALIDATION, ShardFile, ShardManifest, write_manifest
from crm_spark.text.prepare import all_texts
from crm_spark.text.splits import side

INPUTS = (FEEDBACK, CUSTOMER, CUSTOMER_LINK)


def shard_dir(ctx: JobContext) -> Path:
    """Where the shard set of the newest texts lies; named after what it was made from."""
    return Path(ctx.files_root) / "shards" / ctx.fingerprint[:24]


def must_run(ctx: JobContext) -> bool:
    """A shard set that was deleted is made again, where there was one."""
    pointer = Path(ctx.files_root) / "shards" / "current"
    return pointer.exists() and not (Path(ctx.files_root) / "shards" / pointer.read_text() / MANIFEST).exists()


def run(ctx: JobContext) -> StageResult:
    """Writes the shard set."""
    cfg: ShardConfig = ctx.settings.shard
    labelled = all_texts(ctx.tables).where(F.col("label").isNotNull()).cache()
    num_all = labelled.count()
    if num_all < cfg.min_examples:
        return skipped(f"{num_all} labelled texts; at least {cfg.min_examples} are needed")
    sided = one_side(labelled, seed=ctx.seed).cache()
    twins = near_held_out(sided, seed=ctx.seed).cache()
    sided = sided.join(twins, "text_hash", "left_anti").cache()
    counts = {(r["split"], r["label"]): r["count"] for r in sided.groupBy("split", "label").count().collect()}
    num_kept, num_near = sum(counts.values()), twins.count()
    if num_kept < cfg.min_examples:
        return skipped(f"{num_kept} different labelled texts; at least {cfg.min_examples} are needed")
    if len({split for split, _ in counts}) < len(SPLITS):
        return skipped(f"{num_kept} labelled texts, of too few people for a training, a validation and a test side")
    folder = shard_dir(ctx)
    if ctx.is_dry_run:
        return StageResult(num_kept, note="dry run")
    ctx.tables.replace(TEXT_TWIN, twins, batch_id=ctx.batch_id("twins"), digest=ctx.fingerprint)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    sizes = {s: sum(n for (split, _), n in counts.items() if split == s) for s in SPLITS}
    files = [
        file for split in SPLITS for file in _write_split(ctx.spark, sided, split, sizes[split], folder, cfg, ctx.seed)
    ]
    manifest = ShardManifest(
        files=tuple(files),
        max_length=cfg.max_length,
        max_world_size=cfg.max_world_size,
        encoder=cfg.encoder,
        classes={s: {label: n for (split, label), n in sorted(counts.items()) if split == s} for s in SPLITS},
        dropped={"repeated_text": num_all - num_kept - num_near, "near_text": num_near},
        inputs={"fingerprint": ctx.fingerprint, "feedback_version": ctx.tables.version(FEEDBACK), "seed": ctx.seed},
    )
    write_manifest(manifest, folder)
    _point_to(folder)
    said = ", ".join(f"{sizes[s]} {s}" for s in SPLITS)
    return StageResult(num_kept, note=f"{said}; {num_all - num_kept} repeated or near texts left out")


def one_side(labelled: DataFrame, *, seed: int) -> DataFrame:
    """Grain: text_hash. Each text once, with `split`; one that stands on several sides goes to the test side first."""
    sided = labelled.withColumn("split", side(F.col("customer_id"), F.col("text_hash"), seed=seed))
    order = F.when(F.col("split") == TEST, 0).when(F.col("split") == VALIDATION, 1).otherwise(2)
    first = Window.partitionBy("text_hash").orderBy(order, "system", "noun", "record_id")
    return sided.withColumn("_rank", F.row_number().over(first)).where("_rank = 1").drop("_rank")


def num_groups(num_rows: int, *, rows_per_group: int, max_world_size: int) -> int:
    """Row groups of a split: a multiple of the largest world size, none over the wanted size."""
    return max_world_size * max(1, -(-num_rows // (rows_per_group * max_world_size)))


def _write_split(
    spark: SparkSession, sided: DataFrame, split: str, num_rows: int, folder: Path, cfg: ShardConfig, seed: int
) -> list[ShardFile]:
    groups = num_groups(num_rows, rows_per_group=cfg.rows_per_group, max_world_size=cfg.max_world_size)
    # Shuffled by a hash of the text: the order neither depends on partitions nor on the order of arrival.
    order = Window.orderBy(F.xxhash64(F.lit(seed), F.col("text_hash")), "text_hash")
    placed = (
        sided.where(F.col("split") == split)
        .select("text_hash", "text", "label", "source", "language")
        .withColumn("position", F.row_number().over(order) - 1)
        .withColumn("group", F.col("position") % groups)
    )
    # Every group is written, one without a text too: each rank finds as many as the others.
    everyone = spark.range(groups).withColumnRenamed("id", "group").join(placed, "group", "left")
    everyone = everyone.withColumn("split", F.lit(split))
    writer = group_writer(str(folder), cfg.encoder, max_length=cfg.max_length, group_rows=-(-num_rows // groups))
    written: list[Any] = everyone.groupBy("group").applyInPandas(writer, SCHEMA).collect()
    return sorted((ShardFile(**row.asDict()) for row in written), key=lambda file: file.name)


def _point_to(folder: Path) -> None:
    draft = folder.parent / ".current.draft"
    draft.write_text(folder.name)
    draft.replace(folder.parent / "current")
