"""What may vary in featurise."""

from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config


class FeaturiseConfig(Config):
    """Settings of the featurise stage."""

    num_snapshots: Annotated[int, Field(ge=1, le=24)] = 3
    """Days features are made for: as_of, and so many horizons back. Three are the least that can train a model on one
    and test it on the next."""
