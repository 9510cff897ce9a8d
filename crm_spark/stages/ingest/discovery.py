"""List the files of a source and find the new ones."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import PurePosixPath

from pyarrow import fs
from pyspark.sql import SparkSession

from crm_spark.core.errors import InputError
from crm_spark.core.hashing import sha256_of
from crm_spark.core.uris import is_remote
from crm_spark.sources.config import Source
from crm_spark.stages.ingest.file_reasons import LEADS_OUTSIDE, UNUSABLE_NAME
from crm_spark.stages.ingest.globs import glob_pattern
from crm_spark.stages.ingest.source_file import ARCHIVE_SEPARATOR, SourceFile
from crm_spark.stages.ingest.staging import remote_files


@dataclass(frozen=True)
class Delivery:
    """Files of one source that are read together."""

    source: str
    files: tuple[SourceFile, ...]
    digests: tuple[str, ...]

    @property
    def batch_id(self) -> str:
        """Digest of the file names and contents."""
        return sha256_of([self.source, sorted(zip((f.name for f in self.files), self.digests))])[:32]


def list_files(spark: SparkSession | None, source: Source, data_dir: str) -> list[SourceFile]:
    """List the source's files by name, without hidden and temporary files (`_*`, `.*`, `*.tmp`).

    Broken links and folders whose name matches a file pattern are included, so that they are reported as unreadable.
    `spark` is required for a URI, which is listed with Hadoop.

    Raises:
        InputError: the data folder does not exist.
    """
    assert source.files is not None
    pattern = glob_pattern(source.files.file_path)
    files: list[SourceFile] = []
    folders: list[SourceFile] = []
    for file, is_folder in _remote(spark, source, data_dir) if is_remote(data_dir) else _local(source, data_dir):
        if _is_hidden(file.name) or not pattern.fullmatch(file.name):
            continue
        if ARCHIVE_SEPARATOR in file.name:
            file = replace(file, blocked=file.blocked or UNUSABLE_NAME)
        (folders if is_folder else files).append(file)
    # `d/*` also matches intermediate folders: report only a folder named like a file that contains no matching file.
    if PurePosixPath(source.files.file_path).suffix:
        files += [d for d in folders if not any(file.name.startswith(f"{d.name}/") for file in files)]
    return sorted(files, key=lambda file: file.name)


def hidden_files(source: Source, data_dir: str) -> list[str]:
    """Names of the files that `list_files` ignores."""
    return sorted(file.name for file, is_folder in _local(source, data_dir) if not is_folder and _is_hidden(file.name))


def _is_hidden(name: str) -> bool:
    base_name = PurePosixPath(name).name
    return base_name.startswith(("_", ".")) or base_name.endswith(".tmp")


def _remote(spark: SparkSession | None, source: Source, data_dir: str) -> Iterator[tuple[SourceFile, bool]]:
    assert spark is not None
    for file in remote_files(spark, data_dir):
        yield SourceFile(source.name, file.name, file.uri, file.num_bytes, file.modified_at), False


def _local(source: Source, data_dir: str) -> Iterator[tuple[SourceFile, bool]]:
    """Yield every entry below the folder, and whether it is a folder."""
    system, root = fs.LocalFileSystem(), os.path.realpath(re.sub("^file:(//)?", "", data_dir))
    if system.get_file_info(root).type != fs.FileType.Directory:
        raise InputError(f"ingest.data_dir: {data_dir} is not a folder. Set it to the folder with the source files.")
    for info in _listed(system, root):
        is_inside = os.path.realpath(info.path).startswith(root + os.sep)
        file = SourceFile(
            source.name,
            info.path[len(root) :].lstrip("/"),
            info.path,
            info.size or 0,
            datetime.fromtimestamp((info.mtime_ns or 0) // 1_000_000_000, UTC).replace(tzinfo=None),
            blocked=None if is_inside else LEADS_OUTSIDE,
        )
        yield file, info.type == fs.FileType.Directory


def _listed(system: fs.FileSystem, root: str) -> Iterator[fs.FileInfo]:
    """File infos including broken links, which Arrow omits."""
    yield from system.get_file_info(fs.FileSelector(root, recursive=True))
    for folder, _, names in os.walk(root, followlinks=True):
        for path in (os.path.join(folder, name) for name in names):
            if os.path.islink(path) and not os.path.exists(path):
                yield fs.FileInfo(path, fs.FileType.NotFound, mtime_ns=os.lstat(path).st_mtime_ns)


def unseen(files: Iterable[SourceFile], seen: Iterable[tuple[str, int, datetime]]) -> list[SourceFile]:
    """Files whose name, size and modification time are not recorded yet; an archive is recorded by its members."""
    known = {
        (name.split(ARCHIVE_SEPARATOR)[0], None if ARCHIVE_SEPARATOR in name else size, at) for name, size, at in seen
    }
    return [f for f in files if not {(f.name, f.num_bytes, f.modified_at), (f.name, None, f.modified_at)} & known]
