"""OpenLineage events: a START and a COMPLETE or FAIL event per stage, with the tables that it read and wrote.

Specification: https://openlineage.io/spec/2-0-2/OpenLineage.json
"""

import uuid
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from openlineage.client import OpenLineageClient
from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    error_message_run,
    job_type_job,
    output_statistics_output_dataset,
    parent_run,
    processing_engine_run,
    schema_dataset,
)

from crm_spark.core.contract import TableContract
from crm_spark.telemetry.observer import StageRun

PRODUCER = "https://github.com/crm-spark/crm_spark"
JOB = "refresh"
_RAN = {"done": RunState.COMPLETE, "skipped": RunState.COMPLETE, "failed": RunState.FAIL}


def run_uuid(run_id: str, stage: str = "") -> str:
    """UUID of a run, or of one of its stages, from the id in ops.run: the same id gives the same UUID."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"crm_spark/{run_id}/{stage}"))


class LineageEvents:
    """Sends the events of one run.

    Args:
        transport: settings of the transport of the OpenLineage client.
        namespace: of the jobs.
        lake: directory or URI of the lake.
        spark_version: version of Spark.
    """

    def __init__(self, transport: dict[str, Any], *, namespace: str, lake: str, spark_version: str):
        self._client = OpenLineageClient(config={"transport": transport})
        self._namespace, self._lake, self._spark_version = namespace, lake.rstrip("/"), spark_version

    def stage_started(self, run: StageRun) -> None:
        """Send START."""
        self._emit(RunState.START, run)

    def stage_ended(self, run: StageRun) -> None:
        """Send COMPLETE or FAIL."""
        if run.status in _RAN:
            self._emit(_RAN[run.status], run)

    def _emit(self, state: RunState, run: StageRun) -> None:
        facets: dict[str, Any] = {
            "parent": parent_run.ParentRunFacet(
                run=parent_run.Run(runId=run_uuid(run.run_id)), job=parent_run.Job(self._namespace, JOB)
            ),
            "processing_engine": processing_engine_run.ProcessingEngineRunFacet(self._spark_version, name="Spark"),
        }
        if run.error:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(run.error, programmingLanguage="Python")
        job_type = job_type_job.JobTypeJobFacet(processingType="BATCH", integration="SPARK", jobType="JOB")
        self._client.emit(
            RunEvent(
                eventTime=datetime.now(UTC).isoformat(timespec="milliseconds"),
                producer=PRODUCER,
                run=Run(runId=run_uuid(run.run_id, run.stage), facets=facets),
                job=Job(self._namespace, f"{JOB}.{run.stage}", facets={"jobType": job_type}),
                eventType=state,
                inputs=[InputDataset(*self._name(table), facets=_schema(table)) for table in _sorted(run.reads)],
                outputs=[
                    OutputDataset(
                        *self._name(table),
                        facets=_schema(table),
                        outputFacets={
                            "outputStatistics": output_statistics_output_dataset.OutputStatisticsOutputDatasetFacet(
                                rowCount=run.writes[table]
                            )
                        },
                    )
                    for table in _sorted(run.writes)
                ],
            )
        )

    def _name(self, table: TableContract) -> tuple[str, str]:
        """Namespace and name of a table, by the naming rules of OpenLineage for files and object stores."""
        uri = urlsplit(self._lake)
        path = f"{uri.path}/{table.layer}/{table.entity}"
        if not uri.scheme or uri.scheme == "file":
            return "file", path
        if uri.scheme == "hdfs":
            return f"hdfs://{uri.netloc}", path
        scheme = "s3" if uri.scheme in ("s3a", "s3n") else uri.scheme
        return f"{scheme}://{uri.netloc}", path.lstrip("/")


def _sorted(tables: Iterable[TableContract]) -> list[TableContract]:
    return sorted(tables, key=lambda table: table.name)


def _schema(table: TableContract) -> dict[str, Any]:
    fields = [
        schema_dataset.SchemaDatasetFacetFields(name=c.name, type=c.type.simpleString(), description=c.doc)
        for c in table.columns
    ]
    return {"schema": schema_dataset.SchemaDatasetFacet(fields=fields)}
