"""k-means on standardised log features; k by silhouette; centres matched to the previous segmentation."""

from dataclasses import dataclass

import numpy as np
from pyspark.ml.clustering import KMeans, KMeansModel
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.ml.feature import PCA, StandardScaler, VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.optimize import linear_sum_assignment

from crm_spark.core.parallelism import num_tasks
from crm_spark.stages.segment.config import SegmentConfig

INPUT_FEATURES = ("recency_days", "num_orders", "monetary")
"""RFM features only; no personal attributes."""


@dataclass(frozen=True)
class Clustering:
    """Fitted segmentation; `centres` (k, features) in the scaled space."""

    model: KMeansModel
    centres: np.ndarray
    silhouette: float
    silhouette_by_k: dict[int, float]
    num_rows: int


def scaled(features: DataFrame) -> DataFrame:
    """Grain unchanged; adds `scaled` (log1p features, standardised) and `map_x`, `map_y` (first two principal components)."""
    # `greatest` ignores null: an unknown revenue counts as 0 here, so that the customer is in a segment all the same.
    logs = [F.log1p(F.greatest(F.col(name).cast("double"), F.lit(0.0))).alias(f"log_{name}") for name in INPUT_FEATURES]
    # Fixed partitions and order: the initialisation of k-means samples per partition.
    frame = (
        features.select("*", *logs)
        .repartition(num_tasks(features.sparkSession), "customer_id")
        .sortWithinPartitions("customer_id")
    )
    names = [f"log_{name}" for name in INPUT_FEATURES]
    assembled = VectorAssembler(inputCols=names, outputCol="logs").transform(frame)
    scaler = StandardScaler(inputCol="logs", outputCol="scaled", withMean=True, withStd=True).fit(assembled)
    ready = scaler.transform(assembled)
    axes = PCA(k=2, inputCol="scaled", outputCol="map").fit(ready)
    loading = axes.pc.toArray()[INPUT_FEATURES.index("monetary")]
    projected = axes.transform(ready).withColumn("map", vector_to_array(F.col("map")))
    # The sign of a component is arbitrary: orient it so that monetary increases.
    x_sign, y_sign = (1.0 if value >= 0 else -1.0 for value in loading)
    projected = projected.withColumn("map_x", F.col("map")[0] * x_sign).withColumn("map_y", F.col("map")[1] * y_sign)
    return projected.drop("map", "logs", *names)


def num_distinct(ready: DataFrame, *, at_most: int) -> int:
    """Return the number of distinct points, counted up to `at_most`."""
    return ready.select("scaled").distinct().limit(at_most).count()


def fit(ready: DataFrame, cfg: SegmentConfig, *, seed: int) -> Clustering:
    """Return the clustering with the best silhouette among the allowed k; at least two distinct points are needed."""
    num_rows = ready.count()
    # k-means finds no more clusters than there are distinct points, and one cluster has no silhouette.
    max_k = min(cfg.max_k, max(cfg.min_k, num_rows - 1))
    max_k = min(max_k, num_distinct(ready, at_most=max_k))
    bucket = F.pmod(F.xxhash64(F.lit(seed), F.col("customer_id")), F.lit(1_000_000))
    fraction = min(1.0, cfg.silhouette_rows / num_rows)
    sample = ready.where(bucket < F.lit(int(fraction * 1_000_000))).cache()
    evaluator = ClusteringEvaluator(featuresCol="scaled", predictionCol="prediction")
    models, scores = {}, {}
    for k in range(min(cfg.min_k, max_k), max_k + 1):
        models[k] = KMeans(k=k, seed=seed, featuresCol="scaled", predictionCol="prediction", maxIter=20).fit(ready)
        scores[k] = float(evaluator.evaluate(models[k].transform(sample)))
    sample.unpersist()
    best = max(scores, key=lambda k: scores[k])
    centres = np.array([centre for centre in models[best].clusterCenters()])
    return Clustering(models[best], centres, scores[best], scores, num_rows)


def matched_ids(
    centres: np.ndarray,
    former: dict[int, np.ndarray],
    *,
    max_distance: float = 1.5,
    used_ids: frozenset[int] = frozenset(),
) -> list[int]:
    """Return a stable segment id for each centre: that of the matching former centre, else the next unused id.

    Args:
        centres: shape (k, features).
        former: segment id -> centre of the previous segmentation, shape (features,).
        max_distance: largest distance of a match in standard deviations.
        used_ids: all ids used so far; ids of ended segments are not reused.
    """
    ids: dict[int, int] = {}
    if former:
        names = sorted(former)
        cost = np.array([[float(np.linalg.norm(centre - former[name])) for name in names] for centre in centres])
        for row, column in zip(*linear_sum_assignment(cost)):
            if cost[row, column] <= max_distance:
                ids[int(row)] = names[int(column)]
    used = used_ids | set(former)
    free = (i for i in range(1, len(centres) + len(used) + 1) if i not in used)
    return [ids[row] if row in ids else next(free) for row in range(len(centres))]
