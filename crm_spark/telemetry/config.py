"""Settings of telemetry."""

from typing import Any

from crm_spark.core.config import Config


class TelemetryConfig(Config):
    """What other systems learn about runs. It contains no customer data."""

    prometheus_file: str | None = None
    """File with metrics in the text format of Prometheus, replaced at the end of each run; for the text file collector of its
    node exporter, a name that ends with `.prom`. null: none."""
    openlineage: dict[str, Any] | None = None
    """Transport of OpenLineage events, as the OpenLineage client defines it: `{type: http, url: ...}`, or
    `{type: file, log_file_path: ..., append: true}`. null: none."""
    namespace: str = "crm_spark"
    """Namespace of the jobs in OpenLineage events."""
