"""Status rows of ops.delivery."""

from typing import Any

from crm_spark.core.context import JobContext
from crm_spark.core.hashing import sha256_of
from crm_spark.stages.ingest.file_validation import FileReport
from crm_spark.stages.ingest.source_file import SourceFile

PLANNED, INGESTED, SKIPPED, REJECTED, WITHDRAWN = "planned", "ingested", "skipped", "rejected", "withdrawn"
UNSETTLED = (REJECTED, WITHDRAWN)


def status_row(
    ctx: JobContext, file: SourceFile, digest: str, batch_id: str, status: str, reason: str | None = None
) -> dict[str, Any]:
    """Row of a file in a batch."""
    return {
        "source": file.source,
        "file": file.name,
        "file_sha256": digest,
        "num_bytes": file.num_bytes,
        "modified_at": file.modified_at,
        "num_rows": 0,
        "batch_id": batch_id,
        "status": status,
        "reason": reason,
        "position": None,
        "hint": None,
        "num_replaced": file.num_replaced or None,
        "columns": list(file.columns) or None,
        "watermark": None,
        "arrived_at": ctx.started_at,
    }


def rejection(ctx: JobContext, file: SourceFile, report: FileReport) -> dict[str, Any]:
    """Log a rejected file; return its status row."""
    where = f" ({report.position})" if report.position else ""
    ctx.log.warning("%s: file %s rejected: %s%s. %s", file.source, file.name, report.damage, where, report.hint)
    row = status_row(
        ctx, file, report.digest, f"rejected:{sha256_of([file.name, report.digest])[:16]}", REJECTED, report.damage
    )
    return {**row, "position": report.position or None, "hint": report.hint or None}
