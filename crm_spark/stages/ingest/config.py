"""What may vary in ingest."""

from crm_spark.core.config import Config


class IngestConfig(Config):
    """Settings of the ingest stage."""

    sources_dir: str
    """Folder with one YAML per source system."""
    data_dir: str | None = None
    """Folder or URI below which the sources' files lie; null only where every source is JDBC."""
