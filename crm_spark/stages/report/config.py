"""What may vary in the report."""

from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config


class ReportConfig(Config):
    """Settings of the report stage."""

    file_name: str = "report.html"
    """Name of the page, below the lake's files."""
    map_points: Annotated[int, Field(ge=100, le=20_000)] = 1500
    """Customers drawn on the segment map."""
    min_customers_per_cell: Annotated[int, Field(ge=1)] = 5
    """What fewer customers wrote about is not told apart on the page."""
