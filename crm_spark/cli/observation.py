"""The observers of a run that the configuration asks for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from crm_spark.core.errors import ExitCode
from crm_spark.core.failures import describe
from crm_spark.core.uris import lake_root
from crm_spark.telemetry.config import TelemetryConfig
from crm_spark.telemetry.observer import Observer, harmless

if TYPE_CHECKING:
    from pyspark.sql import Row

    from crm_spark.pipeline import Pipeline


@dataclass
class Observation:
    """Observers of a run; the caller sets the pipeline and, at the end, the exit code."""

    observers: list[Observer] = field(default_factory=list)
    pipeline: "Pipeline | None" = None
    exit_code: int = int(ExitCode.DONE)


@contextmanager
def observed(cfg: TelemetryConfig, lake: str, *, is_dry_run: bool) -> Iterator[Observation]:
    """Yield the observers of the block's run, and write what they collected at its end, also if it fails."""
    if is_dry_run or (cfg.prometheus_file is None and cfg.openlineage is None):
        yield Observation()
        return
    observation = Observation()
    if cfg.openlineage is not None:
        from pyspark import __version__ as spark_version

        from crm_spark.telemetry.lineage import LineageEvents

        with harmless("telemetry.openlineage"):
            observation.observers.append(
                LineageEvents(
                    cfg.openlineage, namespace=cfg.namespace, lake=lake_root(lake), spark_version=spark_version
                )
            )
    if cfg.prometheus_file is None:
        yield observation
        return
    from crm_spark.telemetry.prometheus import PrometheusFile

    metrics = PrometheusFile(Path(cfg.prometheus_file))
    observation.observers.append(metrics)
    try:
        yield observation
    except Exception as error:
        with harmless("telemetry.prometheus_file"):
            metrics.write(describe(error)[1], [])
        raise
    with harmless("telemetry.prometheus_file"):
        metrics.write(observation.exit_code, _sources(observation.pipeline))


def _sources(pipeline: "Pipeline | None") -> "list[Row]":
    from crm_spark.telemetry.source_status import source_status

    return [] if pipeline is None else source_status(pipeline.tables)
