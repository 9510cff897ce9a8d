"""List a remote data folder (URI) with Hadoop and copy new files to storage that every node can read.

Validation and reading then use the same copy even if the remote file changes, and the rest of ingest only handles local
files.
"""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from crm_spark.core.context import JobContext, in_parallel
from crm_spark.core.errors import InputError
from crm_spark.core.hashing import sha256_of
from crm_spark.core.jvm_lookups import jvm_class
from crm_spark.core.uris import is_remote
from crm_spark.stages.ingest.source_file import SourceFile

Fetch = Callable[[Sequence[SourceFile]], list[SourceFile]]


@dataclass(frozen=True)
class RemoteFile:
    """A remote file: relative name, URI, size and modification time."""

    name: str
    uri: str
    num_bytes: int
    modified_at: datetime


def remote_files(spark: SparkSession, data_dir: str) -> Iterator[RemoteFile]:
    """List all files below the folder.

    Raises:
        InputError: the folder does not exist or Hadoop cannot access it.
    """
    try:
        root, system = _hadoop_path(spark, data_dir)
        prefix, entries = root.toUri().getPath().rstrip("/") + "/", system.listFiles(root, True)
        while entries.hasNext():
            status = entries.next()
            path = status.getPath()
            at = datetime.fromtimestamp(status.getModificationTime() // 1000, UTC).replace(tzinfo=None)
            yield RemoteFile(path.toUri().getPath().removeprefix(prefix), path.toString(), status.getLen(), at)
    except Py4JJavaError as error:
        cause = error.java_exception.getMessage() or error.java_exception.getClass().getSimpleName()
        raise InputError(
            f"ingest.data_dir: cannot list {data_dir}: {cause.splitlines()[0]}. Add the JAR of this file system to Spark and "
            "check the read permissions, or use a folder that is mounted on every node."
        ) from None


@contextmanager
def staged(ctx: JobContext) -> Iterator[Fetch]:
    """Yield `fetch(files)`, which copies remote files and returns them with local paths; copies are deleted at the end.

    A file that cannot be copied gets a path that does not exist, so that validation reports it as unreadable.
    """
    folder = Path(ctx.files_root) / ("fetched-dry-run" if ctx.is_dry_run else "fetched")
    shutil.rmtree(folder, ignore_errors=True)

    def fetch(files: Sequence[SourceFile]) -> list[SourceFile]:
        def fetch_one(file: SourceFile) -> SourceFile:
            if file.blocked is not None or not is_remote(file.path):
                return file
            target = folder / sha256_of(file.path)[:16] / PurePosixPath(file.name).name
            target.parent.mkdir(parents=True, exist_ok=True)
            _copy(ctx.spark, file.path, target)
            return replace(file, path=str(target))

        return in_parallel(fetch_one, files)

    try:
        yield fetch
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copy(spark: SparkSession, uri: str, target: Path) -> None:
    source, system = _hadoop_path(spark, uri)
    try:
        system.copyToLocalFile(False, source, _path(spark, str(target)), True)
    except Py4JJavaError:
        target.unlink(missing_ok=True)


def _hadoop_path(spark: SparkSession, uri: str) -> tuple[Any, Any]:
    path = _path(spark, uri)
    return path, path.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf())


def _path(spark: SparkSession, text: str) -> Any:
    return jvm_class(spark, "org.apache.hadoop.fs.Path")(text)
