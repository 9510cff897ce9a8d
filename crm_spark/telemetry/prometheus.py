"""Metrics of a run in the text format of Prometheus, for the text file collector of the node exporter."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Gauge, write_to_textfile
from prometheus_client.parser import text_string_to_metric_families

from crm_spark.core.errors import ExitCode
from crm_spark.telemetry.observer import StageRun

if TYPE_CHECKING:
    from pyspark.sql import Row

_LAST_RUN, _LAST_SUCCESS = "crm_spark_last_run_timestamp_seconds", "crm_spark_last_success_timestamp_seconds"
_RUN_GAUGES = {
    "crm_spark_exit_code": "Exit code of the last run.",
    _LAST_RUN: "End of the last run.",
    _LAST_SUCCESS: "End of the last run without an error.",
}
_STAGE_GAUGES = {
    "crm_spark_stage_duration_seconds": "Duration of the stage's last run.",
    "crm_spark_stage_rows": "Rows that the stage's last run wrote.",
    "crm_spark_stage_end_timestamp_seconds": "End of the stage's last run.",
}
_SOURCE_GAUGES = {
    "crm_spark_source_delivery_timestamp_seconds": "Arrival of the source's newest delivery.",
    "crm_spark_source_records": "Records of the source's newest delivery.",
    "crm_spark_source_quarantined_rows": "Rows of the source's newest delivery that were quarantined.",
}
_MEASURED = ("done", "skipped", "failed")
_SUCCESS = (ExitCode.DONE, ExitCode.DATA_BLOCKED)


class PrometheusFile:
    """Collects the stages of one run; `write` replaces the file.

    What a run does not measure keeps the value of the file: the last success of a failed run, stages that were up to date.
    """

    def __init__(self, path: Path):
        self.path = path
        self._registry = CollectorRegistry()
        self._gauges = {
            name: Gauge(name, text, labels, registry=self._registry)
            for gauges, labels in ((_RUN_GAUGES, ()), (_STAGE_GAUGES, ("stage",)), (_SOURCE_GAUGES, ("source",)))
            for name, text in gauges.items()
        }
        self._keep_former()

    def stage_started(self, run: StageRun) -> None:
        """Nothing is measured yet."""

    def stage_ended(self, run: StageRun) -> None:
        """Set the metrics of a stage that ran."""
        if run.status in _MEASURED:
            for name, value in zip(_STAGE_GAUGES, (run.seconds, run.num_rows, time.time()), strict=True):
                self._gauges[name].labels(run.stage).set(value)

    def write(self, exit_code: int, sources: "Sequence[Row]") -> None:
        """Write the file atomically.

        Args:
            exit_code: of the run.
            sources: result of `source_status`; empty if the run ended before it was known.
        """
        for source in sources:
            quarantined = source["num_quarantined"]
            values = (source["newest_at"].timestamp(), source["num_rows"], quarantined)
            for name, value in zip(_SOURCE_GAUGES, values, strict=True):
                if value is not None:  # a delivery that is not cleaned yet has no quarantined rows
                    self._gauges[name].labels(source["source"]).set(value)
        self._gauges["crm_spark_exit_code"].set(exit_code)
        self._gauges[_LAST_RUN].set_to_current_time()
        if exit_code in _SUCCESS:
            self._gauges[_LAST_SUCCESS].set_to_current_time()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_to_textfile(str(self.path), self._registry)

    def _keep_former(self) -> None:
        try:
            families = list(text_string_to_metric_families(self.path.read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return
        for sample in (sample for family in families for sample in family.samples):
            gauge = self._gauges.get(sample.name)
            if gauge is not None:
                (gauge.labels(*sample.labels.values()) if sample.labels else gauge).set(sample.value)
