"""Bronze: every source record as received, all its columns as text, with an envelope that says where it came from."""

from crm_spark.contracts.types import LONG, STRING, TIMESTAMP
from crm_spark.core.contract import Sensitivity, TableContract, optional, required

ENVELOPE = (
    required("_row_id", STRING, "File digest, block and position: names this record for ever."),
    required("_file", STRING, "Name of the file below the source's folder, or the JDBC table."),
    required("_file_sha256", STRING, "Digest of the file's bytes."),
    required("_block", LONG, "Byte at which the block begins that the record was read from; 0 in files read whole."),
    required("_position", LONG, "Number of the record in its block, from 0."),
    required("_batch_id", STRING, "The delivery this record came in."),
    required("_arrived_at", TIMESTAMP, "Ingest time."),
    required("_run_id", STRING, "The run that read it."),
    optional(
        "_corrupt", STRING, "The record's raw text where it could not be split into columns.", Sensitivity.PERSONAL
    ),
)


def bronze(source: str) -> TableContract:
    """The contract of a source's bronze table; the source's own columns stand beside the envelope."""
    return TableContract(
        name=f"bronze.{source}",
        grain=("_row_id",),
        columns=ENVELOPE,
        doc=f"One record of source {source}, verbatim.",
        is_open=True,
    )
