"""Which files a source has, and which of them are new. Local and mounted folders."""

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import PurePosixPath

from pyarrow import fs

from crm_spark.contracts.source import Source
from crm_spark.core.errors import InputError
from crm_spark.core.hashing import sha256_of

ARCHIVE_SEPARATOR = "!"
UNUSABLE_NAME, LEADS_OUTSIDE = "unusable_name", "leads_outside"


@dataclass(frozen=True)
class SourceFile:
    """A file below the data folder, or a member of an archive there.

    Attributes:
        source: whose it is.
        name: relative to the data folder; a member is `archive!member`.
        path: where the file, or the archive, lies.
        num_bytes: its size; of a member: unpacked.
        modified_at: the file system's time of change.
        columns: its header as bronze spells it; empty where it has none or was not looked at yet.
        refusal: code of why it may not even be opened.
    """

    source: str
    name: str
    path: str
    num_bytes: int
    modified_at: datetime
    columns: tuple[str, ...] = ()
    refusal: str | None = None

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


def file_system(data_dir: str) -> tuple[fs.FileSystem, str]:
    """The file system of a folder or a `file://` URI, and the path inside it.

    Raises:
        InputError: it is a URI of another kind.
    """
    if "://" in data_dir and not data_dir.startswith("file://"):
        raise InputError(
            f"ingest.data_dir: {data_dir}: files are read from folders that every node mounts; mount it and give its path."
        )
    return fs.LocalFileSystem(), os.path.realpath(data_dir.removeprefix("file://"))


def glob_pattern(glob: str) -> re.Pattern[str]:
    """`*` and `?` within a name, `**` over folders."""
    parts = re.split(r"(\*\*/|\*|\?)", glob)
    spelled = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(spelled.get(part, re.escape(part)) for part in parts))


def list_files(source: Source, data_dir: str) -> list[SourceFile]:
    """The source's files, by name. Hidden files and such that are still being written (`_`, `.`, `.tmp`) are left alone.

    A link to nothing and a folder that stands in a file's place are among them: that they cannot be read is to be said.

    Raises:
        InputError: the data folder does not exist.
    """
    assert source.files is not None
    system, root = file_system(data_dir)
    if system.get_file_info(root).type != fs.FileType.Directory:
        raise InputError(
            f"ingest.data_dir: {data_dir} is not a folder. Give the folder below which the sources' files lie."
        )
    wanted = glob_pattern(source.files.path)
    found: list[SourceFile] = []
    folders: list[SourceFile] = []
    for info in _listed(system, root):
        name = info.path[len(root) :].lstrip("/")
        is_hidden = info.base_name.startswith(("_", ".")) or info.base_name.endswith(".tmp")
        if is_hidden or not wanted.fullmatch(name):
            continue
        modified_at = datetime.fromtimestamp((info.mtime_ns or 0) // 1_000_000_000, UTC).replace(tzinfo=None)
        refusal = UNUSABLE_NAME if ARCHIVE_SEPARATOR in name else None
        if not os.path.realpath(info.path).startswith(root + os.sep):
            refusal = LEADS_OUTSIDE
        is_folder = info.type == fs.FileType.Directory
        file = SourceFile(source.name, name, info.path, info.size or 0, modified_at, refusal=refusal)
        (folders if is_folder else found).append(file)
    # `d/*` also matches the folders between: only one that is called like a file, and holds none of them, is out of place.
    if PurePosixPath(source.files.path).suffix:
        found += [d for d in folders if not any(file.name.startswith(f"{d.name}/") for file in found)]
    return sorted(found, key=lambda file: file.name)


def _listed(system: fs.FileSystem, root: str) -> Iterator[fs.FileInfo]:
    """All that lies below `root`, links to nothing too, which Arrow leaves out."""
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
