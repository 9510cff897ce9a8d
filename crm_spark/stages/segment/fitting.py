"""Forms the segments anew, or keeps those in use as long as their policy allows."""

import json
from dataclasses import dataclass
from datetime import date

import numpy as np
import pyspark
from pyspark import StorageLevel
from pyspark.ml.clustering import KMeansModel
from pyspark.ml.feature import PCAModel, StandardScalerModel
from pyspark.sql import DataFrame, Row

from crm_spark.contracts.features import SEGMENT_PROFILE
from crm_spark.core.context import JobContext
from crm_spark.models.fitted import FittedModel, loaded, save_fitted, settings_digest, spark_part, usable_fitted
from crm_spark.models.retrain import Changes, Losses, reason_to_retrain
from crm_spark.stages.segment.clustering import (
    Clustering,
    Scaling,
    applied,
    fit,
    fit_scaling,
    losses,
    matched_ids,
    num_distinct,
    scaled,
)

_NAME = "segments"
SCALER, AXES, CLUSTERS = "scaler", "axes", "clusters"
"""Parts of a fitted segmentation."""


@dataclass(frozen=True)
class Segmentation:
    """Segments to assign customers to.

    Attributes:
        clustering: the fitted clusters.
        ids: segment id of each cluster.
        customers: customers with orders, with the columns of `scaled`.
        note: for the log.
    """

    clustering: Clustering
    ids: list[int]
    customers: DataFrame
    note: str


def fit_or_keep(ctx: JobContext, buyers: DataFrame, previous: list[Row]) -> Segmentation | None:
    """Return the segments in use, or new ones if there are none or their policy asks for them.

    Args:
        ctx: context of the stage.
        buyers: features of the customers with orders.
        previous: profile of the previous segmentation; new segments continue those that they resemble.

    Returns:
        None if all customers are alike.
    """
    settings = _settings_digest(ctx)
    reason = ""
    if (model := usable_fitted(ctx, _NAME, settings)) is not None:
        kept, reason = _kept(ctx, model, buyers)
        if kept is not None:
            return kept
        reason = f"; formed again: {reason}"
    scaling = fit_scaling(buyers)
    ready = scaled(buyers, scaling).persist(StorageLevel.MEMORY_AND_DISK)
    if num_distinct(ready, at_most=2) < 2:
        return None
    clustering = fit(ready, ctx.settings.segment, seed=ctx.seed)
    former = {row["segment_id"]: np.array(json.loads(row["centre"])) for row in previous}
    every_profile = ctx.tables.read(SEGMENT_PROFILE).select("segment_id").distinct()
    ids = matched_ids(
        clustering.centres, former, used_ids=frozenset(row["segment_id"] for row in every_profile.collect())
    )
    save_fitted(
        ctx,
        _NAME,
        parts={
            SCALER: spark_part(ctx, scaling.scaler),
            AXES: spark_part(ctx, scaling.axes),
            CLUSTERS: spark_part(ctx, clustering.model),
        },
        settings=settings,
        card={
            "model": f"kmeans, k = {len(ids)}",
            "ids": ids,
            "num_examples": clustering.num_rows,
            "loss": vars(losses(clustering, ready)),
        },
    )
    tried = ", ".join(f"{k}: {v:.3f}" for k, v in clustering.silhouette_by_k.items())
    return Segmentation(clustering, ids, ready, f"{len(ids)} segments (silhouette by k: {tried}){reason}")


def _kept(ctx: JobContext, model: FittedModel, buyers: DataFrame) -> tuple[Segmentation | None, str]:
    """Return the segments in use, applied to today's customers; or None and why new ones are due."""
    cfg, card = ctx.settings.segment, model.card
    parts = loaded(ctx, _NAME, lambda: _load(ctx, model))
    if parts is None:
        return None, "the former ones cannot be loaded"
    scaling, clusters = parts
    ready = scaled(buyers, scaling).persist(StorageLevel.MEMORY_AND_DISK)
    clustering = applied(clusters, ready, cfg, seed=ctx.seed)
    if clustering is None:
        return None, "all customers are in one of the former segments"
    age_days = (ctx.as_of - date.fromisoformat(card["as_of"])).days
    num_new = max(0, clustering.num_rows - card["num_examples"])
    former, newer = Losses(**card["loss"]), losses(clustering, ready)
    reason = reason_to_retrain(
        cfg.retrain, Changes(card["num_examples"], num_new, age_days, former, newer), examples="customers"
    )
    if reason:
        return None, reason
    note = f"{len(card['ids'])} segments of {card['as_of']} (silhouette {clustering.silhouette:.3f})"
    return Segmentation(clustering, card["ids"], ready, note), ""


def _load(ctx: JobContext, model: FittedModel) -> tuple[Scaling, KMeansModel]:
    scaling = Scaling(StandardScalerModel.load(model.uri(ctx, SCALER)), PCAModel.load(model.uri(ctx, AXES)))
    return scaling, KMeansModel.load(model.uri(ctx, CLUSTERS))


def _settings_digest(ctx: JobContext) -> str:
    """Digest of what the segments depend on besides the customers; names are given anew on each run."""
    settings = ctx.settings.segment.model_dump(mode="json", exclude={"retrain", "archetypes"})
    company = ctx.settings.company.model_dump(mode="json", exclude={"name"})
    return settings_digest(ctx, {"segment": settings, "company": company}, library=pyspark.__version__)
