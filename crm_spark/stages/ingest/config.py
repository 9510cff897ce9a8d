"""What may vary in ingest."""

from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config


class IngestConfig(Config):
    """Settings of the ingest stage."""

    sources_dir: str
    """Folder with one YAML per source system."""
    data_dir: str | None = None
    """Folder below which the sources' files lie, mounted on every node; null only where every source is JDBC."""
    max_unpacked_ratio: Annotated[float, Field(gt=1)] = 200.0
    """A compressed file that unpacks to more than this many times its size, and over 64 MiB, is refused: it may be a bomb."""
    files_per_batch: Annotated[int, Field(ge=1)] | None = None
    """Takes files in the order of their arrival, at most so many at once (Structured Streaming, until none is left), so that
    a backlog is worked off in steps of a bounded size; null: all that is new at once."""
