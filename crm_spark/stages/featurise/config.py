"""Settings of the featurise stage."""

from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config


class FeaturiseConfig(Config):
    """Settings of the featurise stage."""

    num_snapshots: Annotated[int, Field(ge=1, le=24)] = 3
    """Number of snapshots: as_of and the days whole horizons before it. Predictions need at least three: train, test, score."""
    features: list[str] = []
    """Files with declared features, such as `conf/domains/telecom/features.yaml`. They are in `features.customer.declared`, and
    inputs of the predictions."""
    sensitive_attributes: list[str] = ["conf/domains/sensitive_attributes.yaml"]
    """Files with words that no input of the predictions may have in its name, such as `religion`."""
