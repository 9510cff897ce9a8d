"""Settings of the ingest stage."""

from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config


class IngestConfig(Config):
    """Settings of the ingest stage."""

    sources_dir: str
    """Folder with one YAML file per source."""
    data_dir: str | None = None
    """Folder or URI with the source files; a local folder must be mounted on every node. Null if all sources are JDBC."""
    max_unpacked_ratio: Annotated[float, Field(gt=1)] = 200.0
    """Maximum compression ratio: a file that unpacks to more than this, and to over 64 MiB, is rejected (zip bomb)."""
    files_per_batch: Annotated[int, Field(ge=1)] | None = None
    """Maximum files per micro-batch (Structured Streaming, `availableNow`), to process a backlog in bounded steps; null:
    all new files in one batch."""
