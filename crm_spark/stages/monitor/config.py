"""What may vary in monitor."""

from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config


class MonitorConfig(Config):
    """Settings of the monitor stage."""

    psi_threshold: Annotated[float, Field(gt=0)] = 0.1
    """Population stability index from which a change matters, where there are customers enough to tell."""
    min_customers: Annotated[int, Field(ge=100)] = 500
    """Below this many customers in a snapshot drift is not judged."""
