"""Adapter of Hadoop's file systems: whatever Spark can open (`hdfs://`, `s3a://`, `file://`), with Spark's own settings.

pyarrow's file systems would need Hadoop's native library for HDFS, which the JARs of Spark do not contain, and a second set
of credentials. There is no public way from PySpark to Hadoop; the only private access is `SparkSession._jvm`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

from crm_spark.core.jvm_lookups import jvm_class

_EXISTS = ("FileAlreadyExistsException", "PathExistsException", "RemoteFileChangedException")
"""The last one is S3's answer to a conditional write."""


@dataclass(frozen=True)
class RemoteFile:
    """A file below a folder: relative name, size in bytes, and modification time in milliseconds by the server's clock."""

    name: str
    num_bytes: int
    modified_at: int

    @property
    def stamp(self) -> tuple[int, int]:
        """Differs if the file was written again."""
        return self.num_bytes, self.modified_at


class HadoopFolder:
    """A folder at a URI.

    Args:
        spark: the session.
        uri: URI of the folder; it need not exist.
    """

    def __init__(self, spark: SparkSession, uri: str):
        self.uri = uri.rstrip("/")
        self._spark = spark
        self._root = self._path("")
        self._system = self._root.getFileSystem(spark._jsc.hadoopConfiguration())

    def files(self, *, is_recursive: bool = True) -> Iterator[RemoteFile]:
        """Files below the folder; none if it does not exist."""
        if not self._system.exists(self._root):
            return
        prefix = self._root.toUri().getPath().rstrip("/") + "/"
        found = self._system.listFiles(self._root, is_recursive)
        while found.hasNext():
            status = found.next()
            name = status.getPath().toUri().getPath().removeprefix(prefix)
            yield RemoteFile(name, int(status.getLen()), int(status.getModificationTime()))

    def stamp(self, name: str) -> tuple[int, int]:
        """Size and modification time of a file."""
        status = self._system.getFileStatus(self._path(name))
        return int(status.getLen()), int(status.getModificationTime())

    def download(self, name: str, target: Path) -> None:
        """Copy a file to this machine; `target` appears when it is complete."""
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = target.with_name(f".{target.name}.fetching")
        self._system.copyToLocalFile(False, self._path(name), self._local(draft), True)
        draft.replace(target)

    def upload(self, source: Path, name: str) -> None:
        """Copy a file from this machine; a file of the same name is replaced when the copy is complete."""
        target = self._path(name)
        draft = self._path(str(Path(name).with_name(f".{Path(name).name}.uploading")))
        self._system.mkdirs(target.getParent())
        self._system.copyFromLocalFile(False, True, self._local(source), draft)
        context = jvm_class(self._spark, "org.apache.hadoop.fs.FileContext").getFileContext(
            target.toUri(), self._spark._jsc.hadoopConfiguration()
        )
        context.rename(draft, target, self._overwriting())

    def read(self, name: str) -> bytes | None:
        """Content of a small file; None if it does not exist."""
        try:
            stream = self._system.open(self._path(name))
        except Py4JJavaError as error:
            if "FileNotFoundException" in error.java_exception.getClass().getName():
                return None
            raise
        try:
            return bytes(jvm_class(self._spark, "org.apache.hadoop.io.IOUtils").readFullyToByteArray(stream))
        finally:
            stream.close()

    def create(self, name: str, content: bytes, *, is_overwriting: bool = False) -> bool:
        """Write a small file; without `is_overwriting`, return False if it exists: of several clients one creates it."""
        builder = self._system.createFile(self._path(name)).overwrite(is_overwriting).recursive()
        if not is_overwriting:  # S3 creates conditionally only if asked to; others ignore the option
            builder = builder.opt("fs.option.create.conditional.overwrite", "true")
        try:
            stream = builder.build()
            stream.write(content)
            stream.close()
        except Py4JJavaError as error:
            if any(name in error.java_exception.getClass().getName() for name in _EXISTS):
                return False
            raise
        return True

    def delete(self, name: str = "") -> None:
        """Delete a file or folder, if it exists; without a name the whole folder."""
        self._system.delete(self._path(name), True)

    def _path(self, name: str) -> Any:
        return jvm_class(self._spark, "org.apache.hadoop.fs.Path")(f"{self.uri}/{name}" if name else self.uri)

    def _local(self, path: Path) -> Any:
        return jvm_class(self._spark, "org.apache.hadoop.fs.Path")(path.resolve().as_uri())

    def _overwriting(self) -> Any:
        jvm: Any = self._spark._jvm
        rename = getattr(jvm.org.apache.hadoop.fs, "Options$Rename")
        options = self._spark.sparkContext._gateway.new_array(rename, 1)  # type: ignore[union-attr]
        options[0] = rename.OVERWRITE
        return options
