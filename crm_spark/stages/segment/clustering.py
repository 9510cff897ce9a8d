"""k-means on standardised log features; k by silhouette; centres matched to the previous segmentation."""

from dataclasses import dataclass

import numpy as np
from pyspark.ml.clustering import KMeans, KMeansModel
from pyspark.ml.evaluation import ClusteringEvaluator
from pyspark.ml.feature import PCA, PCAModel, StandardScaler, StandardScalerModel, VectorAssembler
from pyspark.ml.functions import vector_to_array
from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from scipy.optimize import linear_sum_assignment

from crm_spark.core.parallelism import num_tasks
from crm_spark.models.retrain import Losses
from crm_spark.stages.segment.config import SegmentConfig

INPUT_FEATURES = ("recency_days", "num_orders", "monetary")
"""RFM features only; no personal attributes."""


@dataclass(frozen=True)
class Scaling:
    """How features become points: standardisation of the log features, and the axes of the map."""

    scaler: StandardScalerModel
    axes: PCAModel


@dataclass(frozen=True)
class Clustering:
    """Fitted segmentation; `centres` (k, features) in the scaled space.

    Attributes:
        model: the fitted k-means.
        centres: of the clusters, in the order of the predictions.
        silhouette: of the model on a sample.
        silhouette_by_k: of every k that was tried.
        num_rows: customers it was computed on.
    """

    model: KMeansModel
    centres: np.ndarray
    silhouette: float
    silhouette_by_k: dict[int, float]
    num_rows: int


def fit_scaling(features: DataFrame) -> Scaling:
    """Fit the scaling on all customers with orders."""
    assembled = _with_logs(features)
    scaler = StandardScaler(inputCol="logs", outputCol="scaled", withMean=True, withStd=True).fit(assembled)
    return Scaling(scaler, PCA(k=2, inputCol="scaled", outputCol="map").fit(scaler.transform(assembled)))


def scaled(features: DataFrame, scaling: Scaling) -> DataFrame:
    """Grain unchanged; adds `scaled` (log1p features, standardised) and `map_x`, `map_y` (first two principal components)."""
    projected = scaling.axes.transform(scaling.scaler.transform(_with_logs(features)))
    projected = projected.withColumn("map", vector_to_array(F.col("map")))
    # The sign of a component is arbitrary: orient it so that monetary increases.
    loading = scaling.axes.pc.toArray()[INPUT_FEATURES.index("monetary")]
    x_sign, y_sign = (1.0 if value >= 0 else -1.0 for value in loading)
    projected = projected.withColumn("map_x", F.col("map")[0] * x_sign).withColumn("map_y", F.col("map")[1] * y_sign)
    return projected.drop("map", "logs")


def _with_logs(features: DataFrame) -> DataFrame:
    # `greatest` ignores null: an unknown revenue counts as 0 here, so that the customer is in a segment all the same.
    logs = [F.log1p(F.greatest(F.col(name).cast("double"), F.lit(0.0))).alias(f"log_{name}") for name in INPUT_FEATURES]
    # Fixed partitions and order: the initialisation of k-means samples per partition.
    frame = (
        features.select("*", *logs)
        .repartition(num_tasks(features.sparkSession), "customer_id")
        .sortWithinPartitions("customer_id")
    )
    names = [f"log_{name}" for name in INPUT_FEATURES]
    return VectorAssembler(inputCols=names, outputCol="logs").transform(frame).drop(*names)


def num_distinct(ready: DataFrame, *, at_most: int) -> int:
    """Return the number of distinct points, counted up to `at_most`."""
    return ready.select("scaled").distinct().limit(at_most).count()


def fit(ready: DataFrame, cfg: SegmentConfig, *, seed: int) -> Clustering:
    """Return the clustering with the best silhouette among the allowed k; at least two distinct points are needed."""
    num_rows = ready.count()
    # k-means finds no more clusters than there are distinct points, and one cluster has no silhouette.
    max_k = min(cfg.max_k, max(cfg.min_k, num_rows - 1))
    max_k = min(max_k, num_distinct(ready, at_most=max_k))
    sample = _sample(ready, num_rows, cfg, seed=seed).cache()
    models, scores = {}, {}
    for k in range(min(cfg.min_k, max_k), max_k + 1):
        models[k] = KMeans(k=k, seed=seed, featuresCol="scaled", predictionCol="prediction", maxIter=20).fit(ready)
        scores[k] = _silhouette(models[k].transform(sample))
    sample.unpersist()
    best = max(scores, key=lambda k: scores[k])
    return Clustering(models[best], _centres(models[best]), scores[best], scores, num_rows)


def applied(model: KMeansModel, ready: DataFrame, cfg: SegmentConfig, *, seed: int) -> Clustering | None:
    """Return a fitted clustering with its silhouette on other customers; None if they are all in one cluster."""
    num_rows = ready.count()
    sample = model.transform(_sample(ready, num_rows, cfg, seed=seed)).cache()
    if sample.select("prediction").distinct().count() < 2:
        return None
    silhouette = _silhouette(sample)
    sample.unpersist()
    centres = _centres(model)
    return Clustering(model, centres, silhouette, {len(centres): silhouette}, num_rows)


def losses(clustering: Clustering, ready: DataFrame) -> Losses:
    """Return the squared distances of the customers to their centres, what k-means minimises."""
    centres = F.array(*(F.array(*(F.lit(float(v)) for v in centre)) for centre in clustering.centres))
    assigned = clustering.model.transform(ready)
    offsets = F.zip_with(vector_to_array(F.col("scaled")), centres[F.col("prediction")], lambda a, b: (a - b) * (a - b))
    distance = F.aggregate(offsets, F.lit(0.0), lambda total, square: total + square)
    row = assigned.agg(F.avg(distance), F.stddev_samp(distance), F.count(F.lit(1))).first()
    assert row is not None
    return Losses(float(row[0]), float(row[1] or 0.0), int(row[2]))


def _sample(ready: DataFrame, num_rows: int, cfg: SegmentConfig, *, seed: int) -> DataFrame:
    bucket = F.pmod(F.xxhash64(F.lit(seed), F.col("customer_id")), F.lit(1_000_000))
    fraction = min(1.0, cfg.silhouette_rows / num_rows)
    return ready.where(bucket < F.lit(int(fraction * 1_000_000)))


def _silhouette(assigned: DataFrame) -> float:
    return float(ClusteringEvaluator(featuresCol="scaled", predictionCol="prediction").evaluate(assigned))


def _centres(model: KMeansModel) -> np.ndarray:
    return np.array([centre for centre in model.clusterCenters()])


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
