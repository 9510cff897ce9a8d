"""Which files a source has, and which of them are new. Local folders and any file system that Arrow reaches."""

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from pyarrow import fs

from crm_spark.contracts.source import Source
from crm_spark.core.errors import InputError
from crm_spark.core.hashing import sha256_of

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True)
class SourceFile:
    """A file below the data folder; `name` is relative to it."""

    source: str
    name: str
    path: str
    num_bytes: int
    modified_at: datetime


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
    """The file system of a folder or URI, and the path inside it."""
    if "://" in data_dir:
        system, path = fs.FileSystem.from_uri(data_dir)
        return system, path
    return fs.LocalFileSystem(), os.path.realpath(data_dir)


def glob_pattern(glob: str) -> re.Pattern[str]:
    """`*` and `?` within a name, `**` over folders."""
    parts = re.split(r"(\*\*/|\*|\?)", glob)
    spelled = {"**/": "(?:.*/)?", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(spelled.get(part, re.escape(part)) for part in parts))


def list_files(source: Source, data_dir: str) -> list[SourceFile]:
    """The source's files, by name. Hidden files and such that are still being written (`_`, `.`, `.tmp`) are left alone.

    Raises:
        InputError: the data folder does not exist, or a file lies outside it.
    """
    assert source.files is not None
    system, root = file_system(data_dir)
    if system.get_file_info(root).type != fs.FileType.Directory:
        raise InputError(
            f"ingest.data_dir: {data_dir} is not a folder. Give the folder below which the sources' files lie."
        )
    wanted = glob_pattern(source.files.path)
    found = []
    for info in system.get_file_info(fs.FileSelector(root, recursive=True)):
        name = info.path[len(root) :].lstrip("/")
        is_hidden = info.base_name.startswith(("_", ".")) or info.base_name.endswith(".tmp")
        if info.type != fs.FileType.File or is_hidden or not wanted.fullmatch(name):
            continue
        if isinstance(system, fs.LocalFileSystem) and not os.path.realpath(info.path).startswith(root + os.sep):
            raise InputError(f"{source.name}: {name} leads out of {data_dir}. Put the file itself there.")
        modified_at = datetime.fromtimestamp((info.mtime_ns or 0) // 1000 / 1e6)
        found.append(SourceFile(source.name, name, info.path, info.size, modified_at.replace(microsecond=0)))
    return sorted(found, key=lambda file: file.name)


def sha256_of_file(system: fs.FileSystem, path: str) -> str:
    """SHA-256 (hex) of the bytes as they lie there, compressed or not."""
    digest = hashlib.sha256()
    with system.open_input_stream(path, compression=None) as stream:
        while chunk := stream.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def unseen(files: Iterable[SourceFile], seen: Iterable[tuple[str, int, datetime]]) -> list[SourceFile]:
    """The files whose name, size and time of change were not recorded before."""
    known = set(seen)
    return [file for file in files if (file.name, file.num_bytes, file.modified_at) not in known]
