"""Settings of the monitor stage."""

from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config


class MonitorConfig(Config):
    """Settings of the monitor stage."""

    psi_threshold: Annotated[float, Field(gt=0)] = 0.1
    """Smallest population stability index (PSI) that counts as drift. The threshold is higher for small snapshots."""
    min_customers: Annotated[int, Field(ge=100)] = 500
    """Smallest number of customers per snapshot for drift detection."""
