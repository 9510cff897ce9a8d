"""Settings of the report stage."""

from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config


class ReportConfig(Config):
    """Settings of the report stage."""

    file_name: str = "report.html"
    """File name of the report in the lake's file folder."""
    map_points: Annotated[int, Field(ge=100, le=20_000)] = 1500
    """Number of customers sampled for the segment map."""
    min_customers_per_cell: Annotated[int, Field(ge=1)] = 5
    """Smallest number of customers a figure about their texts may be based on; figures of fewer are not shown."""
