"""Segment stage: features.segment and features.segment_profile; segments keep id and name between runs."""

import json

import numpy as np
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from crm_spark.contracts.features import FEATURE_CUSTOMER, SEGMENT, SEGMENT_PROFILE
from crm_spark.core.context import JobContext, StageResult, skipped
from crm_spark.core.stage import Stage
from crm_spark.models.metrics import Measure, record
from crm_spark.stages.segment.clustering import archetype_names, fit, matched_ids, scaled

INPUTS = (FEATURE_CUSTOMER,)
NOT_YET_BOUGHT = 0
_MIN_CUSTOMERS = 50


def run(ctx: JobContext) -> StageResult:
    """Segment the customers with orders; all others are segment 0."""
    features = ctx.tables.read(FEATURE_CUSTOMER).where(F.col("as_of") == F.lit(ctx.as_of))
    buyers = features.where("num_orders > 0")
    if buyers.count() < _MIN_CUSTOMERS:
        return skipped(f"fewer than {_MIN_CUSTOMERS} customers with orders")
    ready = scaled(buyers).persist(StorageLevel.MEMORY_AND_DISK)
    clustering = fit(ready, ctx.settings.segment, seed=ctx.seed)
    previous = _previous_profile(ctx)
    ids = matched_ids(
        clustering.centres,
        {row["segment_id"]: np.array(json.loads(row["centre"])) for row in previous},
        used_ids=frozenset(
            row["segment_id"] for row in ctx.tables.read(SEGMENT_PROFILE).select("segment_id").distinct().collect()
        ),
    )
    names = _names(clustering.centres, ids, previous, ctx)
    translation = F.create_map(*(F.lit(v) for pair in enumerate(ids) for v in pair))
    assigned = clustering.model.transform(ready).withColumn("segment_id", translation[F.col("prediction")])
    segmented = assigned.select("customer_id", "as_of", "segment_id", "map_x", "map_y")
    others = features.where("num_orders = 0").select(
        "customer_id", "as_of", F.lit(NOT_YET_BOUGHT).alias("segment_id"), *_map_origin()
    )
    everyone = segmented.unionByName(others).persist(StorageLevel.MEMORY_AND_DISK)
    where, digest = {"as_of": str(ctx.as_of)}, ctx.fingerprint
    result = ctx.tables.replace(
        SEGMENT, everyone, batch_id=ctx.batch_id("segment"), digest=digest, where=where, is_unique=True
    )
    centres = {i: json.dumps([round(float(v), 6) for v in c]) for i, c in zip(ids, clustering.centres)}
    profile = _profile(ctx, everyone.join(features, ["customer_id", "as_of"]), names, centres)
    ctx.tables.replace(
        SEGMENT_PROFILE, profile, batch_id=ctx.batch_id("profile"), digest=digest, where=where, is_unique=True
    )
    best = f"kmeans, k = {len(ids)}"
    record(ctx, "segment", [Measure("silhouette", best, clustering.silhouette, "fraction", clustering.num_rows)])
    tried = ", ".join(f"{k}: {v:.3f}" for k, v in clustering.silhouette_by_k.items())
    return StageResult(result.num_rows, note=f"{len(ids)} segments (silhouette by k: {tried})")


def _map_origin() -> list[Column]:
    return [F.lit(0.0).alias("map_x"), F.lit(0.0).alias("map_y")]


def _previous_profile(ctx: JobContext) -> list[Row]:
    """Return the profile of the newest segmentation up to as_of; a rerun of a day keeps its ids."""
    table = ctx.tables.read(SEGMENT_PROFILE).where((F.col("as_of") <= F.lit(ctx.as_of)) & (F.col("segment_id") > 0))
    newest = table.agg(F.max("as_of")).first()
    if newest is None or newest[0] is None:
        return []
    return table.where(F.col("as_of") == F.lit(newest[0])).collect()


def _names(centres: np.ndarray, ids: list[int], previous: list[Row], ctx: JobContext) -> dict[int, str]:
    """Return the name of each segment: continued segments keep theirs, new ones get unused archetypes."""
    continued = {row["segment_id"]: row["name"] for row in previous if row["segment_id"] in ids}
    new = [i for i, segment_id in enumerate(ids) if segment_id not in continued]
    unused = [a for a in ctx.settings.segment.archetypes if a.name not in continued.values()]
    names = dict(continued)
    if new:
        assigned_names = archetype_names(centres, unused, selected=new)
        names.update({ids[i]: name for i, name in zip(new, assigned_names)})
    return {**names, NOT_YET_BOUGHT: "Has not bought yet"}


def _profile(ctx: JobContext, customers: DataFrame, names: dict[int, str], centres: dict[int, str]) -> DataFrame:
    totals = customers.agg(F.count(F.lit(1)), F.sum("monetary")).first()
    assert totals is not None
    num_all, revenue_all = totals[0], totals[1] or 0.0
    median = lambda column: F.percentile_approx(F.col(column).cast("double"), 0.5, 1000)  # noqa: E731
    name_of = F.create_map(*(F.lit(v) for pair in names.items() for v in pair))
    centre_of = F.create_map(*(F.lit(v) for pair in {**centres, NOT_YET_BOUGHT: "[]"}.items() for v in pair))
    return customers.groupBy("segment_id", "as_of").agg(
        name_of[F.col("segment_id")].alias("name"),
        F.count(F.lit(1)).alias("num_customers"),
        (F.count(F.lit(1)) / F.lit(float(num_all))).alias("customer_fraction"),
        (F.sum("monetary") / F.lit(float(revenue_all) or 1.0)).alias("revenue_fraction"),
        median("recency_days").alias("median_recency_days"),
        median("num_orders").alias("median_num_orders"),
        median("monetary").alias("median_monetary"),
        F.avg("mean_satisfaction").alias("mean_satisfaction"),
        centre_of[F.col("segment_id")].alias("centre"),
    )


STAGE = Stage("segment", run, reads=INPUTS)
