"""Shard stage: write labelled texts as Parquet row groups of equal size with a manifest.

No customer, text or near-duplicate is in two splits.
"""

import shutil
from datetime import date
from pathlib import Path

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.features import EXAMPLE, LABEL_ISSUE, TEXT_NEAR_DUPLICATE, TRAINING_RECORD
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.silver import FEEDBACK, INTERACTION
from crm_spark.core.context import JobContext, StageResult, lacking, skipped
from crm_spark.core.shipping import sees_files
from crm_spark.core.stage import Stage
from crm_spark.stages.shard.config import ShardConfig
from crm_spark.stages.shard.encoder_choice import EncoderChoice, choose_encoder
from crm_spark.stages.shard.label_check import label_issues
from crm_spark.stages.shard.layout import num_groups, with_groups
from crm_spark.stages.shard.near_duplicates import near_duplicates
from crm_spark.stages.shard.retraining import labelled_records, provenance, reason_to_keep, unfinished_sets
from crm_spark.stages.shard.row_groups import FILE_SCHEMA, group_writer, write_group
from crm_spark.stages.shard.splits import EARLIER, KEY, SPLIT_BY, assign_splits, newest_from
from crm_spark.stages.shard.token_rows import token_rows
from crm_spark.text.manifest import (
    SPLITS,
    TRAIN,
    UNLABELLED,
    ShardFile,
    ShardManifest,
    current_shards,
    write_manifest,
)
from crm_spark.text.prepare import all_texts

_STORAGE = StorageLevel.DISK_ONLY
"""Cached texts and tokens stay on disk: in memory millions of them would leave no room for sorting."""
_MIN_LABELS = 2
INPUTS = (FEEDBACK, INTERACTION, CUSTOMER, CUSTOMER_LINK)


def shard_dir(ctx: JobContext) -> Path:
    """Return the folder of the shard set, named after the fingerprint of its inputs."""
    return Path(ctx.files_root) / "shards" / ctx.fingerprint[:24]


def must_run(ctx: JobContext) -> bool:
    """Return whether the current shard set is missing."""
    return (Path(ctx.files_root) / "shards" / "current").exists() and current_shards(ctx.files_root) is None


def run(ctx: JobContext) -> StageResult:
    """Write the shard set, unless the current one is kept."""
    cfg: ShardConfig = ctx.settings.shard
    if not ctx.is_forced and (kept := reason_to_keep(ctx)):
        return StageResult(note=kept)
    texts = all_texts(ctx.tables, ctx.settings.company.time_zone).persist(_STORAGE)
    labelled = texts.where(F.col("label").isNotNull())
    choice = choose_encoder(labelled, cfg.encoder)
    num_all = choice.num_texts
    if num_all < cfg.min_examples:
        return skipped(lacking(f"at least {cfg.min_examples} labelled texts", num_all))
    test_from = newest_from(labelled) if cfg.test_split == "newest" else None
    # Splits are assigned without the text column, so that texts are shuffled only once.
    all_splits = assign_splits(labelled.select(*SPLIT_BY), test_from=test_from, seed=ctx.seed).persist(_STORAGE)
    num_distinct = all_splits.count()
    splits = all_splits.where(F.col("split") != EARLIER).select(*KEY, "split")
    tokenised = _tokenise(labelled.join(splits, list(KEY)), ctx, choice.encoder).persist(_STORAGE)
    duplicates = near_duplicates(tokenised).persist(_STORAGE)
    num_near_duplicates = duplicates.count()
    all_splits.unpersist()
    if not cfg.unlabelled_texts:
        texts.unpersist()
    assigned = tokenised.drop("signature", "bands").join(duplicates, "text_hash", "left_anti")
    assigned = assigned.persist(_STORAGE)
    counts = {(r["split"], r["label"]): r["count"] for r in assigned.groupBy("split", "label").count().collect()}
    tokenised.unpersist()
    num_kept = sum(counts.values())
    if num_kept < cfg.min_examples:
        return skipped(lacking(f"at least {cfg.min_examples} different labelled texts", num_kept))
    if len({split for split, _ in counts}) < len(SPLITS):
        return skipped(
            f"needs labelled texts by more customers for a training, a validation and a test split; {num_kept:,} by too few"
        )
    labels = {label for split, label in counts if split == TRAIN}
    if len(labels) < _MIN_LABELS:
        return skipped(
            f"needs training texts with at least {_MIN_LABELS} different labels; all are {', '.join(labels)}"
        )
    folder = shard_dir(ctx)
    if ctx.is_dry_run:
        return StageResult(num_kept, note="dry run")
    # Until its manifest is there, the folder marks that the tables below may describe a set that is not complete.
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ctx.tables.replace(
        TEXT_NEAR_DUPLICATE, duplicates, batch_id=ctx.batch_id("near_duplicates"), digest=ctx.fingerprint
    )
    examples = assigned.select(*EXAMPLE.column_names)
    ctx.tables.replace(EXAMPLE, examples, batch_id=ctx.batch_id("examples"), digest=ctx.fingerprint)
    ctx.tables.replace(
        TRAINING_RECORD, labelled_records(ctx), batch_id=ctx.batch_id("records"), digest=ctx.fingerprint, is_unique=True
    )
    if cfg.unlabelled_texts:
        unlabelled = _tokenise(_unlabelled(texts, assigned, ctx), ctx, choice.encoder).select(*assigned.columns)
        assigned = assigned.unionByName(unlabelled).persist(_STORAGE)
    files = _write(ctx, assigned, folder)
    num_checked, num_doubtful = _check_labels(ctx, folder, files)
    dropped = {
        "duplicate_text": num_all - num_distinct,
        "earlier_text": num_distinct - num_near_duplicates - num_kept,
        "near_duplicate": num_near_duplicates,
    }
    manifest = ShardManifest(
        files=tuple(files),
        max_length=cfg.max_length,
        max_world_size=cfg.max_world_size,
        encoder=choice.encoder,
        classes={s: {label: n for (split, label), n in sorted(counts.items()) if split == s} for s in SPLITS},
        dropped=dropped,
        inputs={
            "fingerprint": ctx.fingerprint,
            "feedback_version": ctx.tables.version(FEEDBACK),
            "seed": ctx.seed,
            "test_from": str(test_from) if test_from else None,
            "encoder_setting": cfg.encoder,
            "other_languages": choice.other_languages,
            "labels_checked": num_checked,
            "labels_doubtful": num_doubtful,
            **provenance(ctx, num_all),
        },
        long_texts=cfg.long_texts,
    )
    write_manifest(manifest, folder)
    _point_to(folder)
    for unfinished in unfinished_sets(ctx.files_root):
        shutil.rmtree(unfinished)
    return StageResult(num_kept, note=_note(manifest, test_from, num_all - num_kept, choice))


def _note(manifest: ShardManifest, test_from: date | None, num_dropped: int, choice: EncoderChoice) -> str:
    sizes = ", ".join(f"{sum(manifest.classes[split].values())} {split}" for split in SPLITS)
    test_split = f"test split: texts since {test_from}" if test_from else "test split: random customers"
    doubtful, checked = manifest.inputs["labels_doubtful"], manifest.inputs["labels_checked"]
    doubts = f"; {doubtful} of {checked} checked labels are doubtful" if checked else ""
    return f"{sizes}; {test_split}; {num_dropped} duplicate, near-duplicate or earlier texts dropped{doubts}; {choice.note}"


def _tokenise(texts: DataFrame, ctx: JobContext, encoder: str) -> DataFrame:
    """Grain: text_hash. Token rows and MinHash signature of each text."""
    cfg: ShardConfig = ctx.settings.shard
    columns = texts.select("text_hash", "text", "split", "label", "source", "language")
    return token_rows(columns, encoder, max_length=cfg.max_length, long_texts=cfg.long_texts, seed=ctx.seed)


def _unlabelled(texts: DataFrame, assigned: DataFrame, ctx: JobContext) -> DataFrame:
    """Grain: text_hash. A hash-based sample of about `unlabelled_texts` unlabelled texts."""
    others = texts.where(F.col("label").isNull()).dropDuplicates(["text_hash"])
    others = others.join(assigned.select("text_hash"), "text_hash", "left_anti").persist(_STORAGE)
    per_million = round(1e6 * ctx.settings.shard.unlabelled_texts / max(1, others.count()))
    draw = F.pmod(F.xxhash64(F.lit(ctx.seed), F.lit(UNLABELLED), F.col("text_hash")), F.lit(1_000_000))
    return others.where(draw < per_million).withColumn("split", F.lit(UNLABELLED))


def _write(ctx: JobContext, texts: DataFrame, folder: Path) -> list[ShardFile]:
    cfg: ShardConfig = ctx.settings.shard
    num_rows = F.size("input_ids")
    sizes = {r["split"]: r["rows"] for r in texts.groupBy("split").agg(F.sum(num_rows).alias("rows")).collect()}
    rows = texts.select(
        *("text_hash", "split", "label", "source", "language"),
        (1 / num_rows).cast("float").alias("weight"),  # the rows of a text share a weight of 1
        F.posexplode("input_ids").alias("row", "input_ids"),
    )
    groups = {
        split: num_groups(size, rows_per_group=cfg.rows_per_group, max_world_size=cfg.max_world_size)
        for split, size in sizes.items()
    }
    grouped = None
    for split, size in sizes.items():
        part = with_groups(rows.where(F.col("split") == split), num_rows=size, num_groups=groups[split], seed=ctx.seed)
        # Write empty groups, too: every rank needs the same number of groups.
        all_groups = ctx.spark.range(groups[split]).select(
            F.lit(split).alias("split"), F.col("id").cast("int").alias("group")
        )
        part = part.unionByName(all_groups, allowMissingColumns=True)
        grouped = part if grouped is None else grouped.unionByName(part)
    assert grouped is not None
    group_rows = {split: -(-size // groups[split]) for split, size in sizes.items()}
    writer = group_writer(str(folder) if sees_files(ctx) else None, max_length=cfg.max_length, group_rows=group_rows)
    written = grouped.groupBy("split", "group").applyInArrow(writer, FILE_SCHEMA)
    files = []
    # File by file where they pass through the driver.
    for row in written.collect() if sees_files(ctx) else written.toLocalIterator(prefetchPartitions=True):
        if row["content"] is not None:
            write_group(folder / row["name"], row["content"])
        files.append(ShardFile(**{name: value for name, value in row.asDict().items() if name != "content"}))
    return sorted(files, key=lambda file: file.name)


def _check_labels(ctx: JobContext, folder: Path, files: list[ShardFile]) -> tuple[int, int]:
    """Write the doubtful labels of the training split; return the number of checked and of doubtful labels."""
    cfg: ShardConfig = ctx.settings.shard
    if not cfg.label_check_texts:
        return 0, 0
    paths = [folder / file.name for file in files if file.split == TRAIN]
    num_checked, issues = label_issues(paths, max_texts=cfg.label_check_texts, seed=ctx.seed)
    frame = ctx.spark.createDataFrame([tuple(issue) for issue in issues], LABEL_ISSUE.schema)
    ctx.tables.replace(LABEL_ISSUE, frame, batch_id=ctx.batch_id("label_issues"), digest=ctx.fingerprint)
    return num_checked, len(issues)


def _point_to(folder: Path) -> None:
    draft = folder.parent / ".current.draft"
    draft.write_text(folder.name)
    draft.replace(folder.parent / "current")


STAGE = Stage("shard", run, reads=INPUTS, must_run=must_run, fits_model=True)
