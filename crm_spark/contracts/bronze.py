"""Contract of the `bronze` layer: source records as received, all columns as text, plus lineage columns."""

from crm_spark.contracts.types import LONG, STRING, TIMESTAMP
from crm_spark.core.contract import Sensitivity, TableContract, optional, required

ENVELOPE = (
    required("_row_id", STRING, "Stable record id: file digest, block and position."),
    required("_file", STRING, "File name relative to the data folder, or JDBC table name."),
    required("_file_sha256", STRING, "SHA-256 of the file's bytes."),
    required("_block", LONG, "Byte offset of the block the record was read from; 0 if the file was not split."),
    required("_position", LONG, "Zero-based record number within the block."),
    required("_batch_id", STRING, "Id of the delivery that contained the record."),
    required("_arrived_at", TIMESTAMP, "Ingest time (UTC)."),
    required("_run_id", STRING, "Id of the ingest run."),
    optional(
        "_corrupt", STRING, "Raw text of a record that could not be parsed; otherwise null.", Sensitivity.PERSONAL
    ),
)


def bronze(source: str) -> TableContract:
    """Contract of a source's bronze table: the envelope plus every column of the source."""
    return TableContract(
        name=f"bronze.{source}",
        grain=("_row_id",),
        columns=ENVELOPE,
        doc=f"One record of source {source}, as received.",
        is_open=True,
    )
