"""Which files a source has, and which of them are new."""

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
from crm_spark.sources.config import Source
from crm_spark.stages.ingest.staging import is_remote, remote_files

ARCHIVE_SEPARATOR = "!"
UNUSABLE_NAME, LEADS_OUTSIDE = "unusable_name", "leads_outside"


@dataclass(frozen=True)
class SourceFile:
    """A file below the data folder, or a member of an archive there.

    Attributes:
        source: whose it is.
        name: relative to the data folder; a member is `archive!member`.
        path: where the file, or the archive, lies; a URI until it was brought here.
        num_bytes: its size; of a member: unpacked.
        modified_at: the file system's time of change.
        columns: its header as bronze spells it; empty where it has none or was not looked at yet.
        blocked: code of why it may not even be opened.
        has_lone_surrogates: its JSON escapes halves of characters, which no encoding can hold.
    """

    source: str
    name: str
    path: str
    num_bytes: int
    modified_at: datetime
    columns: tuple[str, ...] = ()
    blocked: str | None = None
    has_lone_surrogates: bool = False

    @property
    def member(self) -> str | None:
        """The name inside the archive."""
        return self.name.split(ARCHIVE_SEPARATOR, 1)[1] if ARCHIVE_SEPARATOR in self.name else None


@dataclass(frozen=True)
class Delivery:
    """Files of one source that are read together; its id is a digest of their names and bytes."""

    source: str
    files: tuple[SourceFile, ...]
    digests: tuple[str, ...]

    @property
    def batch_id(self) -> str:
        """The same names and bytes give the same id."""
        return sha256_of([self.source, sorted(zip((f.name for f in self.files), self.digests))])[:32]


def glob_pattern(glob: str) -> re.Pattern[str]:
    """`*` and `?` within a name, `**` over folders."""
    parts = re.split(r"(\*\*/|\*|\?)", glob)
    spelled = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(spelled.get(part, re.escape(part)) for part in parts))


def list_files(spark: SparkSession | None, source: Source, data_dir: str) -> list[SourceFile]:
    """The source's files, by name. Hidden files and such that are still being written (`_`, `.`, `.tmp`) are left alone.

    A link to nothing and a folder that stands in a file's place are among them: that they cannot be read is to be said.
    `spark`: of a URI, whose Hadoop can list it.

    Raises:
        InputError: the data folder does not exist.
    """
    assert source.files is not None
    wanted = glob_pattern(source.files.path)
    found: list[SourceFile] = []
    folders: list[SourceFile] = []
    for file, is_folder in _remote(spark, source, data_dir) if is_remote(data_dir) else _local(source, data_dir):
        if _is_hidden(file.name) or not wanted.fullmatch(file.name):
            continue
        if ARCHIVE_SEPARATOR in file.name:
            file = replace(file, blocked=file.blocked or UNUSABLE_NAME)
        (folders if is_folder else found).append(file)
    # `d/*` also matches the folders between: only one that is called like a file, and holds none of them, is out of place.
    if PurePosixPath(source.files.path).suffix:
        found += [d for d in folders if not any(file.name.startswith(f"{d.name}/") for file in found)]
    return sorted(found, key=lambda file: file.name)


def hidden_files(source: Source, data_dir: str) -> list[str]:
    """The names of the files that `list_files` leaves alone."""
    return sorted(file.name for file, is_folder in _local(source, data_dir) if not is_folder and _is_hidden(file.name))


def _is_hidden(name: str) -> bool:
    base_name = PurePosixPath(name).name
    return base_name.startswith(("_", ".")) or base_name.endswith(".tmp")


def _remote(spark: SparkSession | None, source: Source, data_dir: str) -> Iterator[tuple[SourceFile, bool]]:
    assert spark is not None
    for file in remote_files(spark, data_dir):
        yield SourceFile(source.name, file.name, file.uri, file.num_bytes, file.modified_at), False


def _local(source: Source, data_dir: str) -> Iterator[tuple[SourceFile, bool]]:
    """All that lies below the folder, and whether it is one itself."""
    system, root = fs.LocalFileSystem(), os.path.realpath(re.sub("^file:(//)?", "", data_dir))
    if system.get_file_info(root).type != fs.FileType.Directory:
        raise InputError(
            f"ingest.data_dir: {data_dir} is not a folder. Give the folder below which the sources' files lie."
        )
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
    """With links to nothing too, which Arrow leaves out."""
    yield from system.get_file_info(fs.FileSelector(root, recursive=True))
    for folder, _, names in os.walk(root, followlinks=True):
        for path in (os.path.join(folder, name) for name in names):
            if os.path.islink(path) and not os.path.exists(path):
                yield fs.FileInfo(path, fs.FileType.NotFound, mtime_ns=os.lstat(path).st_mtime_ns)


def unseen(files: Iterable[SourceFile], seen: Iterable[tuple[str, int, datetime]]) -> list[SourceFile]:
    """The files whose name, size and time of change were not recorded before; an archive stands for its members."""
    known = {
        (name.split(ARCHIVE_SEPARATOR)[0], None if ARCHIVE_SEPARATOR in name else size, at) for name, size, at in seen
    }
    return [f for f in files if not {(f.name, f.num_bytes, f.modified_at), (f.name, None, f.modified_at)} & known]
