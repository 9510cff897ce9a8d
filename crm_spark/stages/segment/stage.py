"""Segment stage: features.segment and features.segment_profile; segments keep id and name between runs."""

import json
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import functions as F

from crm_spark.contracts.features import FEATURE_CUSTOMER, SEGMENT, SEGMENT_PROFILE
from crm_spark.core.context import JobContext, StageResult, lacking, skipped
from crm_spark.core.stage import Stage
from crm_spark.models.metrics import Measure, record
from crm_spark.stages.segment.fitting import fit_or_keep
from crm_spark.stages.segment.naming import Medians, segment_names

INPUTS = (FEATURE_CUSTOMER,)
NOT_YET_BOUGHT = 0
_MIN_CUSTOMERS = 50


def run(ctx: JobContext) -> StageResult:
    """Segment the customers with orders; all others are segment 0."""
    features = ctx.tables.read(FEATURE_CUSTOMER).where(F.col("as_of") == F.lit(ctx.as_of))
    buyers = features.where("num_orders > 0")
    num_buyers, purchases = buyers.count(), ctx.settings.company.words.purchases
    if num_buyers < _MIN_CUSTOMERS:
        return skipped(lacking(f"at least {_MIN_CUSTOMERS} customers with completed {purchases}", num_buyers))
    previous = _previous_profile(ctx)
    segmentation = fit_or_keep(ctx, buyers, previous)
    if segmentation is None:
        return skipped(
            f"needs customers who differ in recency, number of {purchases} or revenue; all {num_buyers:,} are alike"
        )
    clustering, ids = segmentation.clustering, segmentation.ids
    translation = F.create_map(*(F.lit(v) for pair in enumerate(ids) for v in pair))
    assigned = clustering.model.transform(segmentation.customers)
    assigned = assigned.withColumn("segment_id", translation[F.col("prediction")])
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
    profile = _profile(everyone.join(features, ["customer_id", "as_of"]), centres).collect()
    frame = ctx.spark.createDataFrame(_named(profile, previous, ctx), SEGMENT_PROFILE.schema)
    ctx.tables.replace(
        SEGMENT_PROFILE, frame, batch_id=ctx.batch_id("profile"), digest=digest, where=where, is_unique=True
    )
    best = f"kmeans, k = {len(ids)}"
    record(ctx, "segment", [Measure("silhouette", best, clustering.silhouette, "fraction", clustering.num_rows)])
    return StageResult(result.num_rows, note=segmentation.note)


def _map_origin() -> list[Column]:
    return [F.lit(0.0).alias("map_x"), F.lit(0.0).alias("map_y")]


def _previous_profile(ctx: JobContext) -> list[Row]:
    """Return the profile of the newest segmentation up to as_of; a rerun of a day keeps its ids."""
    table = ctx.tables.read(SEGMENT_PROFILE).where((F.col("as_of") <= F.lit(ctx.as_of)) & (F.col("segment_id") > 0))
    newest = table.agg(F.max("as_of")).first()
    if newest is None or newest[0] is None:
        return []
    return table.where(F.col("as_of") == F.lit(newest[0])).collect()


def _named(profile: list[Row], previous: list[Row], ctx: JobContext) -> list[tuple[Any, ...]]:
    """Return the rows of features.segment_profile: continued segments keep their names while they are true."""
    words = ctx.settings.company.words
    medians = {
        row["segment_id"]: Medians(row["median_recency_days"], row["median_num_orders"], row["median_monetary"])
        for row in profile
        if row["segment_id"] != NOT_YET_BOUGHT
    }
    names = segment_names(
        medians,
        ctx.settings.segment.archetypes,
        horizon_days=ctx.settings.company.horizon_days,
        former={row["segment_id"]: row["name"] for row in previous},
        words=words,
    )
    names[NOT_YET_BOUGHT] = f"No completed {words.purchase}"
    named = [{**row.asDict(), "name": names[row["segment_id"]]} for row in profile]
    return [tuple(row[column] for column in SEGMENT_PROFILE.column_names) for row in named]


def _profile(customers: DataFrame, centres: dict[int, str]) -> DataFrame:
    """Grain: segment_id. The columns of features.segment_profile except the name; null where nothing is known."""
    revenue = F.when(F.col("num_orders") == 0, F.lit(0.0)).otherwise(F.col("monetary"))
    customers = customers.withColumn("monetary", revenue)
    totals = customers.agg(F.count(F.lit(1)), F.sum("monetary")).first()
    assert totals is not None
    num_all, revenue_all = totals[0], totals[1]
    # Without revenue, or if none is known, there are no shares of it.
    share = F.sum("monetary") / F.lit(float(revenue_all)) if revenue_all and revenue_all > 0 else F.lit(None)
    median = lambda column: F.percentile_approx(F.col(column).cast("double"), 0.5, 1000)  # noqa: E731
    centre_of = F.create_map(*(F.lit(v) for pair in {**centres, NOT_YET_BOUGHT: "[]"}.items() for v in pair))
    return customers.groupBy("segment_id", "as_of").agg(
        F.count(F.lit(1)).alias("num_customers"),
        (F.count(F.lit(1)) / F.lit(float(num_all))).alias("customer_fraction"),
        share.cast("double").alias("revenue_fraction"),
        median("recency_days").alias("median_recency_days"),
        median("num_orders").alias("median_num_orders"),
        median("monetary").alias("median_monetary"),
        F.avg("mean_satisfaction").alias("mean_satisfaction"),
        centre_of[F.col("segment_id")].alias("centre"),
    )


STAGE = Stage("segment", run, reads=INPUTS, fits_model=True, builds_on=("featurise",))
