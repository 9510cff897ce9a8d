"""Settings of maintenance."""

from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config


class MaintainConfig(Config):
    """What maintenance keeps."""

    retention_days: Annotated[int, Field(ge=7)] = 30
    """Days for which earlier versions of the tables stay readable. Fewer than 7 could remove what a running query reads."""
    keep_versions: Annotated[int, Field(ge=0)] = 3
    """Versions to keep of each model besides those in use, to return to."""
    snapshot_days: Annotated[int, Field(ge=35)] | None = 400
    """Days for which each snapshot of features, segments and scores is kept; of older ones, the last of each month. Actions are
    always kept. null: every snapshot is kept."""
    compact_from_files: Annotated[int, Field(ge=2)] = 32
    """Files from which a table of small files is compacted."""
