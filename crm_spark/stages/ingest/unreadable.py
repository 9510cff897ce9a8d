"""Find the files of a delivery that Spark cannot read, so that the others can be ingested without them."""

import errno
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from pyspark.sql import SparkSession

from crm_spark.core.errors import CrmError
from crm_spark.sources.config import Source
from crm_spark.stages.ingest.file_copies import mapped_columns, readable_paths
from crm_spark.stages.ingest.reader import read_records
from crm_spark.stages.ingest.source_file import SourceFile


@dataclass(frozen=True)
class FileProbe:
    """Reads files of one source without writing their records."""

    spark: SparkSession
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
        preferred = mapped_columns(self.source)
        try:
            with readable_paths(files, self.source.files, self.scratch, preferred=preferred) as paths:
                records = read_records(self.spark, self.source.files, paths)
                records.write.format("noop").mode("overwrite").save()
        except CrmError:
            raise
        except Exception as error:
            require_running(self.spark, error)
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
