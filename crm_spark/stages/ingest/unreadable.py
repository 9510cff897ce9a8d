"""Reject intact files that Spark or the source cannot use, so that the others are ingested without them."""

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import Row, SparkSession

from crm_spark.contracts.bronze_columns import encoded
from crm_spark.core.context import JobContext
from crm_spark.core.errors import CrmError
from crm_spark.sources.config import Source
from crm_spark.stages.ingest.delivery_status import PLANNED, WITHDRAWN, rejection, status_row
from crm_spark.stages.ingest.discovery import Delivery
from crm_spark.stages.ingest.file_copies import mapped_columns, paths_for_spark
from crm_spark.stages.ingest.file_reasons import BINARY_COLUMN, HINTS, READ_FAILED
from crm_spark.stages.ingest.file_validation import FileReport
from crm_spark.stages.ingest.reader import one_file_per_task, read_records
from crm_spark.stages.ingest.source_file import SourceFile


@dataclass(frozen=True)
class FileProbe:
    """Reads files of one source without writing their records."""

    ctx: JobContext
    source: Source
    scratch: Path

    def unreadable(self, files: Sequence[SourceFile]) -> Mapping[str, str]:
        """Names of the files that cannot be read, with the cause. Halves the list, so that few reads find a few files."""
        error = self._error_of(files)
        if error is None:
            return {}
        if len(files) == 1:
            return {files[0].name: cause_of(error)}
        middle = len(files) // 2
        return {**self.unreadable(files[:middle]), **self.unreadable(files[middle:])}

    def _error_of(self, files: Sequence[SourceFile]) -> Exception | None:
        assert self.source.files is not None
        try:
            with paths_for_spark(self.ctx, files, self.source, self.scratch) as paths:
                records = read_records(self.ctx.spark, self.source.files, paths)
                records.write.format("noop").mode("overwrite").save()
        except CrmError:
            raise
        except Exception as error:
            require_running(self.ctx.spark, error)
            return error
        return None


def require_running(spark: SparkSession, error: Exception) -> None:
    """Raise `error` again if it comes from Spark or the disk rather than from a file."""
    if os.strerror(errno.ENOSPC) in str(error):
        raise error
    try:
        spark.range(1).count()
    except Exception:
        raise error from None


def cause_of(error: Exception) -> str:
    """Error condition of Spark, or the type of the innermost error. Messages may contain values of the file."""
    if isinstance(error, PySparkException) and (condition := error.getCondition()):
        return str(condition)
    if isinstance(error, Py4JJavaError):
        cause: Any = error.java_exception
        while cause.getCause() is not None:
            cause = cause.getCause()
        return str(cause.getClass().getSimpleName())
    return type(error).__name__


def without_unreadable(
    ctx: JobContext, source: Source, delivery: Delivery, error: Exception
) -> tuple[Delivery, list[dict[str, Any]]]:
    """Delivery of the readable files, and status rows: the old plan withdrawn, unreadable files rejected, a new plan.

    Raises:
        Exception: `error`, if every file can be read: the cause is elsewhere.
    """
    require_running(ctx.spark, error)
    causes = _probe(ctx, source).unreadable([file for file in delivery.files if file.path])
    if not causes:
        raise error
    pairs = list(zip(delivery.files, delivery.digests))
    rest = [(file, digest) for file, digest in pairs if file.name not in causes]
    remaining = Delivery(source.name, tuple(f for f, _ in rest), tuple(d for _, d in rest))
    status_rows = []
    for file, digest in pairs:
        reason = READ_FAILED if file.name in causes else None
        status_rows.append(status_row(ctx, file, digest, delivery.batch_id, WITHDRAWN, reason))
        if reason:
            status_rows.append(rejection(ctx, file, _failed(file, digest, causes[file.name])))
        else:
            status_rows.append(status_row(ctx, file, digest, remaining.batch_id, PLANNED))
    return remaining, status_rows


def _probe(ctx: JobContext, source: Source) -> FileProbe:
    return FileProbe(ctx, source, Path(ctx.files_root) / "unpacked" / f"probe-{source.name}")


def _failed(file: SourceFile, digest: str, cause: str) -> FileReport:
    hint = f"{HINTS[READ_FAILED]} (Spark: {cause})"
    return FileReport(file.name, digest, file.num_bytes, damage=READ_FAILED, hint=hint)


def with_defects_of_reading(
    ctx: JobContext, source: Source, reports: list[tuple[SourceFile, FileReport]], past: list[Row]
) -> list[tuple[SourceFile, FileReport]]:
    """Reject intact files that the source cannot use: a mapped column is binary, or Spark still cannot read the file."""
    mapped = {encoded(name, 0) for name in mapped_columns(source)}
    failed_before = {row["file_sha256"] for row in past if row["reason"] == READ_FAILED}
    checked = []
    for file, report in reports:
        if report.damage is None and (binary := sorted(mapped & set(report.binary_columns))):
            position = f"column {report.columns.index(binary[0]) + 1}"
            report = replace(report, damage=BINARY_COLUMN, position=position, hint=HINTS[BINARY_COLUMN])
        elif report.damage is None and report.digest in failed_before:
            with one_file_per_task(ctx.spark):
                causes = _probe(ctx, source).unreadable([file])
            report = _failed(file, report.digest, causes[file.name]) if causes else report
        checked.append((file, report))
    return checked
