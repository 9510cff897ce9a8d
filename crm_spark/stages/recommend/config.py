"""What may vary in recommend."""

from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config


class RecommendConfig(Config):
    """Settings of the recommend stage."""

    num_recommendations: Annotated[int, Field(ge=1, le=100)] = 10
    rank: Annotated[int, Field(ge=2, le=256)] = 24
    """Length of the vectors that stand for customers and products."""
    num_iterations: Annotated[int, Field(ge=1, le=50)] = 8
    regularisation: Annotated[float, Field(gt=0)] = 0.05
    alpha: Annotated[float, Field(gt=0)] = 20.0
    """How much more a bought product counts than one not bought."""
    num_popular: Annotated[int, Field(ge=20)] = 200
    """The most bought products the popularity baseline chooses from."""
    min_customers: Annotated[int, Field(ge=10)] = 50
