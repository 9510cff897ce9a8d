"""Shard: labelled texts -> equal Parquet row groups and a manifest. No customer, text or near text is on two splits."""

import shutil
from datetime import date
from pathlib import Path
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from crm_spark.contracts.features import EXAMPLE, LABEL_ISSUE, TEXT_NEAR_DUPLICATE
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.silver import FEEDBACK, INTERACTION
from crm_spark.core.context import JobContext, StageResult, skipped
from crm_spark.stages.shard.config import ShardConfig
from crm_spark.stages.shard.label_check import label_issues
from crm_spark.stages.shard.layout import num_groups, with_groups
from crm_spark.stages.shard.near_duplicates import near_duplicates
from crm_spark.stages.shard.row_groups import WRITTEN, group_writer
from crm_spark.stages.shard.splits import EARLIER, KEY, SPLIT_BY, assign_splits, newest_from
from crm_spark.stages.shard.token_rows import read
from crm_spark.text.manifest import MANIFEST, SPLITS, TRAIN, UNLABELLED, ShardFile, ShardManifest, write_manifest
from crm_spark.text.prepare import all_texts

_KEPT = StorageLevel.DISK_ONLY
"""Where what is used more than once is kept: texts and their tokens by the million would leave a heap no room to sort."""
INPUTS = (FEEDBACK, INTERACTION, CUSTOMER, CUSTOMER_LINK)


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
    texts = all_texts(ctx.tables).persist(_KEPT)
    labelled = texts.where(F.col("label").isNotNull())
    num_all = labelled.count()
    if num_all < cfg.min_examples:
        return skipped(f"{num_all} labelled texts; at least {cfg.min_examples} are needed")
    test_from = newest_from(labelled) if cfg.test_split == "newest" else None
    # Sides are found without the texts: those are shuffled once, to where their splits are.
    everyone = assign_splits(labelled.select(*SPLIT_BY), test_from=test_from, seed=ctx.seed).persist(_KEPT)
    num_different = everyone.count()
    splits = everyone.where(F.col("split") != EARLIER).select(*KEY, "split")
    signed = _read(labelled.join(splits, list(KEY)), ctx).persist(_KEPT)
    twins = near_duplicates(signed).persist(_KEPT)
    num_near = twins.count()
    everyone.unpersist()
    if not cfg.unlabelled_texts:
        texts.unpersist()
    assigned = signed.drop("signature", "bands").join(twins, "text_hash", "left_anti")
    assigned = assigned.persist(_KEPT)
    counts = {(r["split"], r["label"]): r["count"] for r in assigned.groupBy("split", "label").count().collect()}
    signed.unpersist()
    num_kept = sum(counts.values())
    if num_kept < cfg.min_examples:
        return skipped(f"{num_kept} different labelled texts; at least {cfg.min_examples} are needed")
    if len({split for split, _ in counts}) < len(SPLITS):
        return skipped(f"{num_kept} labelled texts, of too few people for a training, a validation and a test split")
    folder = shard_dir(ctx)
    if ctx.is_dry_run:
        return StageResult(num_kept, note="dry run")
    ctx.tables.replace(TEXT_NEAR_DUPLICATE, twins, batch_id=ctx.batch_id("twins"), digest=ctx.fingerprint)
    examples = assigned.select(*EXAMPLE.column_names)
    ctx.tables.replace(EXAMPLE, examples, batch_id=ctx.batch_id("examples"), digest=ctx.fingerprint)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if cfg.unlabelled_texts:
        unlabelled = _read(_unlabelled(texts, assigned, ctx), ctx).select(*assigned.columns)
        assigned = assigned.unionByName(unlabelled).persist(_KEPT)
    files = _write(ctx.spark, assigned, folder, cfg, ctx.seed)
    num_read, num_doubtful = _check_labels(ctx, folder, files)
    dropped = {
        "repeated_text": num_all - num_different,
        "earlier_text": num_different - num_near - num_kept,
        "near_text": num_near,
    }
    manifest = ShardManifest(
        files=tuple(files),
        max_length=cfg.max_length,
        max_world_size=cfg.max_world_size,
        encoder=cfg.encoder,
        classes={s: {label: n for (split, label), n in sorted(counts.items()) if split == s} for s in SPLITS},
        dropped=dropped,
        inputs={
            "fingerprint": ctx.fingerprint,
            "feedback_version": ctx.tables.version(FEEDBACK),
            "seed": ctx.seed,
            "test_from": str(test_from) if test_from else None,
            "labels_checked": num_read,
            "labels_doubtful": num_doubtful,
        },
        long_texts=cfg.long_texts,
    )
    write_manifest(manifest, folder)
    _point_to(folder)
    return StageResult(num_kept, note=_note(manifest, test_from, num_all - num_kept))


def _note(manifest: ShardManifest, test_from: date | None, num_left_out: int) -> str:
    said = ", ".join(f"{sum(manifest.classes[split].values())} {split}" for split in SPLITS)
    when = f"the test split is what was written from {test_from} on" if test_from else "the test split is drawn"
    doubtful, checked = manifest.inputs["labels_doubtful"], manifest.inputs["labels_checked"]
    doubts = f"; {doubtful} of {checked} labels are doubtful" if checked else ""
    return f"{said}; {when}; {num_left_out} repeated, earlier or near texts left out{doubts}"


def _read(texts: DataFrame, ctx: JobContext) -> DataFrame:
    """Grain: text_hash. What is written of each text, and what tells near ones."""
    cfg: ShardConfig = ctx.settings.shard
    columns = texts.select("text_hash", "text", "split", "label", "source", "language")
    return read(columns, cfg.encoder, max_length=cfg.max_length, long_texts=cfg.long_texts, seed=ctx.seed)


def _unlabelled(texts: DataFrame, assigned: DataFrame, ctx: JobContext) -> DataFrame:
    """Grain: text_hash. About so many texts as are wanted that nobody rated, drawn by a hash of the text."""
    others = texts.where(F.col("label").isNull()).dropDuplicates(["text_hash"])
    others = others.join(assigned.select("text_hash"), "text_hash", "left_anti").persist(_KEPT)
    per_million = round(1e6 * ctx.settings.shard.unlabelled_texts / max(1, others.count()))
    draw = F.pmod(F.xxhash64(F.lit(ctx.seed), F.lit(UNLABELLED), F.col("text_hash")), F.lit(1_000_000))
    return others.where(draw < per_million).withColumn("split", F.lit(UNLABELLED))


def _write(spark: SparkSession, texts: DataFrame, folder: Path, cfg: ShardConfig, seed: int) -> list[ShardFile]:
    num_rows = F.size("input_ids")
    sizes = {r["split"]: r["rows"] for r in texts.groupBy("split").agg(F.sum(num_rows).alias("rows")).collect()}
    rows = texts.select(
        *("text_hash", "split", "label", "source", "language"),
        (1 / num_rows).cast("float").alias("weight"),  # of the text's weight of 1
        F.posexplode("input_ids").alias("row", "input_ids"),
    )
    groups = {
        split: num_groups(size, rows_per_group=cfg.rows_per_group, max_world_size=cfg.max_world_size)
        for split, size in sizes.items()
    }
    placed = None
    for split, size in sizes.items():
        mine = with_groups(rows.where(F.col("split") == split), num_rows=size, num_groups=groups[split], seed=seed)
        # Every group is written, one without a text too: each rank finds as many as the others.
        every = spark.range(groups[split]).select(F.lit(split).alias("split"), F.col("id").cast("int").alias("group"))
        mine = mine.unionByName(every, allowMissingColumns=True)
        placed = mine if placed is None else placed.unionByName(mine)
    assert placed is not None
    group_rows = {split: -(-size // groups[split]) for split, size in sizes.items()}
    writer = group_writer(str(folder), max_length=cfg.max_length, group_rows=group_rows)
    written: list[Any] = placed.groupBy("split", "group").applyInArrow(writer, WRITTEN).collect()
    return sorted((ShardFile(**row.asDict()) for row in written), key=lambda file: file.name)


def _check_labels(ctx: JobContext, folder: Path, files: list[ShardFile]) -> tuple[int, int]:
    """Lists the labels of the training split that are doubtful; how many were looked at, and how many are."""
    cfg: ShardConfig = ctx.settings.shard
    if not cfg.label_check_texts:
        return 0, 0
    paths = [folder / file.name for file in files if file.split == TRAIN]
    num_read, doubts = label_issues(paths, max_texts=cfg.label_check_texts, seed=ctx.seed)
    frame = ctx.spark.createDataFrame([tuple(doubt) for doubt in doubts], LABEL_ISSUE.schema)
    ctx.tables.replace(LABEL_ISSUE, frame, batch_id=ctx.batch_id("doubts"), digest=ctx.fingerprint)
    return num_read, len(doubts)


def _point_to(folder: Path) -> None:
    draft = folder.parent / ".current.draft"
    draft.write_text(folder.name)
    draft.replace(folder.parent / "current")
