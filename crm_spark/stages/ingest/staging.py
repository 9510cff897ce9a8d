"""A folder behind a URI: Hadoop lists it, and brings new files to where every node reads them before anything looks at them.

What was examined is then what is read, also when the other side changes meanwhile, and all the rest of ingest knows local
files only.
"""

import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from crm_spark.core.context import JobContext, in_parallel
from crm_spark.core.errors import InputError
from crm_spark.core.hashing import sha256_of

if TYPE_CHECKING:
    from crm_spark.stages.ingest.discovery import SourceFile

Stage_ = Callable[[Sequence["SourceFile"]], list["SourceFile"]]


@dataclass(frozen=True)
class RemoteFile:
    """A file below the folder: its name there, its URI, its size, and when it was changed."""

    name: str
    uri: str
    num_bytes: int
    modified_at: datetime


def is_remote(data_dir: str) -> bool:
    """Whether it is a URI of anything but a local folder."""
    return re.match(r"(?!file:)[A-Za-z][A-Za-z0-9+.-]+:/", data_dir) is not None


def remote_files(spark: SparkSession, data_dir: str) -> Iterator[RemoteFile]:
    """All files below the folder.

    Raises:
        InputError: it is not there, or Hadoop cannot reach it.
    """
    try:
        root, system = _reached(spark, data_dir)
        above, found = root.toUri().getPath().rstrip("/") + "/", system.listFiles(root, True)
        while found.hasNext():
            status = found.next()
            path = status.getPath()
            at = datetime.fromtimestamp(status.getModificationTime() // 1000, UTC).replace(tzinfo=None)
            yield RemoteFile(path.toUri().getPath().removeprefix(above), path.toString(), status.getLen(), at)
    except Py4JJavaError as error:
        said = error.java_exception.getMessage() or error.java_exception.getClass().getSimpleName()
        raise InputError(
            f"ingest.data_dir: {data_dir} cannot be listed: {said.splitlines()[0]}. Spark needs the JAR of this file system "
            "and the right to read there; a folder that every node mounts needs neither."
        ) from None


@contextmanager
def staged(ctx: JobContext) -> Iterator[Stage_]:
    """Gives `bring(files)`: the same files with local paths, until the block ends.

    One that cannot be read is given a path at which nothing lies: the look at it says so.
    """
    folder = Path(ctx.files_root) / ("fetched-dry-run" if ctx.is_dry_run else "fetched")
    shutil.rmtree(folder, ignore_errors=True)

    def bring(files: Sequence["SourceFile"]) -> list["SourceFile"]:
        def one(file: "SourceFile") -> "SourceFile":
            if file.blocked is not None or not is_remote(file.path):
                return file
            target = folder / sha256_of(file.path)[:16] / PurePosixPath(file.name).name
            target.parent.mkdir(parents=True, exist_ok=True)
            _copied(ctx.spark, file.path, target)
            return replace(file, path=str(target))

        return in_parallel(one, files)

    try:
        yield bring
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _copied(spark: SparkSession, uri: str, target: Path) -> None:
    source, system = _reached(spark, uri)
    try:
        system.copyToLocalFile(False, source, _path(spark, str(target)), True)
    except Py4JJavaError:
        target.unlink(missing_ok=True)


def _reached(spark: SparkSession, uri: str) -> tuple[Any, Any]:
    path = _path(spark, uri)
    return path, path.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf())


def _path(spark: SparkSession, text: str) -> Any:
    jvm: Any = spark._jvm
    return jvm.org.apache.hadoop.fs.Path(text)
