"""Settings of the recommend stage."""

from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config
from crm_spark.models.retrain import RetrainPolicy


class RecommendConfig(Config):
    """Settings of the recommend stage."""

    num_recommendations: Annotated[int, Field(ge=1, le=100)] = 10
    """Number of recommendations per customer."""
    rank: Annotated[int, Field(ge=2, le=256)] = 24
    """Number of latent factors of ALS."""
    num_iterations: Annotated[int, Field(ge=1, le=50)] = 8
    """Number of ALS iterations."""
    regularisation: Annotated[float, Field(gt=0)] = 0.05
    """Weight of the L2 penalty on the latent factors of ALS."""
    alpha: Annotated[float, Field(gt=0)] = 20.0
    """Weight of purchases relative to missing ones in implicit ALS; larger values trust purchases more."""
    num_popular: Annotated[int, Field(ge=20)] = 200
    """Number of best sellers from which the popularity baseline selects."""
    min_customers: Annotated[int, Field(ge=10)] = 50
    """Minimum number of customers with purchases before the evaluation period; with fewer, the stage is skipped."""
    retrain: RetrainPolicy = RetrainPolicy(max_age_days=14)
    """When the factors of the products are fitted again; until then a refresh recommends with them, by all purchases so far.
    Products that are newer than the fit are not among the recommendations of ALS. The examples are pairs of customer and
    product, it is compared by its hit rate."""
