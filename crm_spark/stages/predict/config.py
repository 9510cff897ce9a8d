"""What may vary in predict."""

from typing import Annotated

from pydantic import Field, model_validator

from crm_spark.core.config import Config


class TreesConfig(Config):
    """Boosted trees: few and shallow, because a snapshot holds thousands of customers and not millions."""

    num_trees: Annotated[int, Field(ge=1)] = 120
    max_depth: Annotated[int, Field(ge=1, le=12)] = 3
    learning_rate: Annotated[float, Field(gt=0, le=1)] = 0.06
    min_child_weight: Annotated[float, Field(ge=0)] = 20.0
    """Least weight of examples in a leaf."""


class PredictConfig(Config):
    """Settings of the predict stage."""

    trees: TreesConfig = TreesConfig()
    min_customers: Annotated[int, Field(ge=50)] = 200
    """Below this many customers with orders in the training snapshot nothing is predicted."""
    num_workers: Annotated[int, Field(ge=1)] = 1
    """Spark tasks that train together."""
    medium_risk: Annotated[float, Field(gt=0, lt=1)] = 0.4
    """Probability of not coming back from which the risk is medium."""
    high_risk: Annotated[float, Field(gt=0, lt=1)] = 0.7

    @model_validator(mode="after")
    def _ordered(self) -> "PredictConfig":
        if self.medium_risk >= self.high_risk:
            raise ValueError("wanted medium_risk < high_risk")
        return self
