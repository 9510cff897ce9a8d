"""Linkage on Spark: pairs are scored and clustered where they are."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from crm_spark.stages.resolve.certain import by_rules
from crm_spark.stages.resolve.clusters import LOWEST, THRESHOLD, Pairs, clusters_of, exclusive_codes
from crm_spark.stages.resolve.comparisons import UNIQUE_ID
from crm_spark.stages.resolve.components import Save, components
from crm_spark.stages.resolve.config import ResolveConfig, ReviewConfig
from crm_spark.stages.resolve.linkage import CLUSTERS, EXPLAINED_PER_REVIEWED, TOO_MANY_MATCH, Linked, Records, compare
from crm_spark.stages.resolve.spark_engine import SparkEngine, probable

_PAIRS_PER_BUCKET = 200_000
_PROBABLE = "l bigint, r bigint, probability double, support double"


def link_on_spark(spark: SparkSession, records: Records, cfg: ResolveConfig, *, seed: int, save: Save) -> Linked:
    """Link any number of records. The driver sees a sample for training, counts, and the edges of small graphs.

    Args:
        spark: the session.
        records: what is linked.
        cfg: settings of the stage.
        seed: of the sample of random pairs.
        save: materialises a frame, which cuts its plan.
    """
    numbered = save(records.frame.withColumn(UNIQUE_ID, F.monotonically_increasing_id()))
    engine = SparkEngine(numbered, records.evidence, num_records=records.num_records, save=save)
    scored = compare(engine, records, training_pairs=cfg.training_pairs, seed=seed)
    declared = [] if records.constraints is None else [records.constraints]
    weights: DataFrame | None = None
    if scored is None:
        rules = by_rules(records.frame, records.evidence)
        declared += [] if rules is None else [rules]
        pairs, note = spark.createDataFrame([], _PROBABLE), TOO_MANY_MATCH
    else:
        pairs, note = probable(scored.pairs, scored.rates).select("l", "r", "probability", "support"), scored.note
        pairs = save(pairs.where((F.col("probability") >= LOWEST) | (F.col("support") <= -LOWEST)))
        weights = save(engine.explain(_in_doubt(pairs, cfg.review), scored.model))
    keys = numbered.select(UNIQUE_ID, "record_key")
    pairs = _with_ends(pairs, keys, on="{}").withColumn("is_scored", F.lit(True))
    for each in declared:
        pairs = pairs.unionByName(
            _with_ends(each, keys, on="record_key_{}").withColumns(
                {"probability": F.lit(None).cast("double"), "is_scored": F.lit(False)}
            )
        )
    pairs = save(pairs)
    found = save(_clustered(spark, pairs, save, cfg.max_cluster, cfg.one_record_per_person))
    clusters = keys.select("record_key").join(found, "record_key", "left")
    clusters = save(clusters.select("record_key", F.coalesce("cluster", "record_key").alias("cluster")))
    compared = pairs.where(F.col("is_scored") & (F.col("probability") >= LOWEST)).withColumnRenamed(
        "probability", "match_probability"
    )
    for end in ("l", "r"):
        ends = clusters.select(F.col("record_key").alias(f"record_key_{end}"), F.col("cluster").alias(f"cluster_{end}"))
        compared = compared.join(ends, f"record_key_{end}")
    compared = compared.withColumn("is_linked", F.col("cluster_l") == F.col("cluster_r"))
    if weights is not None:
        compared = compared.join(weights, ["l", "r"], "left")
    else:
        compared = compared.withColumn("weights", F.lit(None).cast("map<string, double>"))
    # The numbers of the records are in no order.
    ordered = (F.least("record_key_l", "record_key_r"), F.greatest("record_key_l", "record_key_r"))
    compared = compared.withColumns({"record_key_l": ordered[0], "record_key_r": ordered[1]})
    columns = ("record_key_l", "record_key_r", "match_probability", "is_linked", "weights")
    return Linked(compared.select(*columns), clusters, note)


def _in_doubt(pairs: DataFrame, review: ReviewConfig) -> DataFrame:
    """The pairs that may be reviewed, those with a probability next to 0.5."""
    band = pairs.where(F.col("probability").between(review.low, review.high))
    ordered = band.orderBy(F.abs(F.col("probability") - 0.5), "l", "r")
    return ordered.limit(EXPLAINED_PER_REVIEWED * review.max_pairs)


def _clustered(spark: SparkSession, pairs: DataFrame, save: Save, max_size: int, exclusive: Sequence[str]) -> DataFrame:
    """Clusters of the records that have a likely match.

    No two records from different components of the likely pairs are in one cluster, since the mean support of two clusters is
    at least the threshold only if that of one pair is.
    """
    parts = components(spark, pairs.where(F.col("support") >= THRESHOLD), save)
    inside = pairs
    for end in ("l", "r"):
        ends = parts.select(F.col("record").alias(end), F.col("component").alias(f"component_{end}"))
        inside = inside.join(ends, end)
    inside = save(inside.where("component_l = component_r"))
    buckets = max(1, inside.count() // _PAIRS_PER_BUCKET)

    def clustered(table: pa.Table) -> pa.Table:
        both = np.concatenate([table[f"record_key_{end}"].to_numpy() for end in ("l", "r")])
        names, index = np.unique(both.astype(str), return_inverse=True)
        number = table.num_rows
        chosen = Pairs(index[:number], index[number:], table["support"].to_numpy())
        codes = exclusive_codes(names.tolist(), exclusive)
        found = clusters_of(len(names), chosen, max_size=max_size, exclusive=codes)
        return pa.table({"record_key": names, "cluster": names[found]})

    bucket = F.pmod(F.xxhash64("component_l"), F.lit(buckets)).alias("bucket")
    columns = inside.select(bucket, "record_key_l", "record_key_r", "support")
    return columns.groupBy("bucket").applyInArrow(clustered, CLUSTERS)


def _with_ends(pairs: DataFrame, keys: DataFrame, *, on: str) -> DataFrame:
    """Pairs with the numbers and the keys of both records; pairs of unknown records are left out.

    Args:
        pairs: with the numbers l and r, or with record_key_l and record_key_r.
        keys: record, record_key.
        on: the columns that the pairs have, formatted with l and r.
    """
    for end in ("l", "r"):
        ends = keys.select(F.col(UNIQUE_ID).alias(end), F.col("record_key").alias(f"record_key_{end}"))
        pairs = pairs.join(ends, on.format(end))
    return pairs
