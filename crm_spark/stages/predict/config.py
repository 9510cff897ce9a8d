"""Settings of the predict stage."""

from typing import Annotated

from pydantic import Field, model_validator

from crm_spark.core.config import Config
from crm_spark.models.retrain import RetrainPolicy


class TreesConfig(Config):
    """Settings of the boosted trees; the defaults suit snapshots with thousands of customers."""

    num_trees: Annotated[int, Field(ge=1)] = 120
    """Number of boosting rounds."""
    max_depth: Annotated[int, Field(ge=1, le=12)] = 3
    """Maximum depth of a tree, in levels."""
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.06
    """Shrinkage of the contribution of each tree."""
    min_child_weight: Annotated[float, Field(ge=0)] = 20.0
    """Smallest sum of example weights in a leaf."""


class PredictConfig(Config):
    """Settings of the predict stage."""

    trees: TreesConfig = TreesConfig()
    """Boosted trees of both models."""
    min_customers: Annotated[int, Field(ge=50)] = 200
    """Smallest number of customers with orders in the training snapshot."""
    num_workers: Annotated[int, Field(ge=1)] | None = None
    """Spark tasks that train one model together; null: one per million examples, on at most half of the cores."""
    medium_risk: Annotated[float, Field(gt=0, lt=1)] = 0.4
    """Churn probability from which the risk is medium."""
    high_risk: Annotated[float, Field(gt=0, lt=1)] = 0.7
    """Churn probability from which the risk is high."""
    retrain: RetrainPolicy = RetrainPolicy(max_age_days=30)
    """When the models are fitted again; until then a refresh applies them to the new snapshot. The examples are customers with
    a known outcome, the loss is the cross-entropy in bits (churn) or the absolute error (value)."""

    @model_validator(mode="after")
    def _ordered(self) -> "PredictConfig":
        if self.medium_risk >= self.high_risk:
            raise ValueError("expected medium_risk < high_risk")
        return self
