"""What may vary in clean."""

from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config


class CleanConfig(Config):
    """Settings of the clean stage."""

    rules_dir: str = "conf/quality"
    """Folder with the quality rules, one or more YAML files."""
    max_quarantined_fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    """A delivery of which more than this is quarantined stops the run: most likely the mapping is wrong, not the rows."""
