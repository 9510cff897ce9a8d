"""Members of archives as files of their own: unpacked to be profiled, and described by a glob of archive and member."""

import lzma
import shutil
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from crm_spark.onboarding.file_grouping import FileWords, Group, SeenFile, grouped, pattern_of
from crm_spark.stages.ingest.globs import glob_pattern
from crm_spark.stages.ingest.source_file import SourceFile

_ENDING = ".zip"
_SMALL_BYTES = 64 << 20
"""Members up to this size are unpacked whatever their ratio, as in ingest."""
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError, RuntimeError)
"""Errors of damaged and of encrypted archives."""
NO_PATTERN = "no glob pattern separates it from other members: move it to an archive of its own"


def is_archive(name: str) -> bool:
    """Whether a file is an archive whose members are read."""
    return name.lower().endswith(_ENDING)


def members_of(
    archives: Iterable[SourceFile], scratch: Path, *, max_unpacked_ratio: float
) -> tuple[list[SourceFile], list[tuple[str, str]]]:
    """Unpack the members of archives.

    Args:
        archives: the archives.
        scratch: folder for the unpacked members.
        max_unpacked_ratio: members that unpack to more than this are not read.

    Returns:
        A file for each member, named `archive.zip/member`, and (name, reason) for the archives that cannot be read.
    """
    found, left_over = [], []
    for number, archive in enumerate(archives):
        folder = scratch / str(number)
        folder.mkdir(parents=True)
        try:
            with zipfile.ZipFile(archive.path) as content:
                entries = [entry for entry in content.infolist() if not entry.is_dir()]
                if why := _why_rejected(entries, max_unpacked_ratio):
                    left_over.append((archive.name, why))
                    continue
                for i, entry in enumerate(entries):
                    path = PurePosixPath(entry.filename)
                    if any(part.startswith((".", "__")) for part in path.parts):
                        continue
                    target = folder / f"{i}_{path.name}"
                    with content.open(entry) as source, target.open("wb") as copy:
                        shutil.copyfileobj(source, copy)
                    name = f"{archive.name}/{entry.filename}"
                    found.append(replace(archive, name=name, path=str(target), num_bytes=entry.file_size))
        except _DAMAGED as error:
            left_over.append((archive.name, f"cannot be unpacked ({type(error).__name__})"))
    return found, left_over


def _why_rejected(entries: Iterable[zipfile.ZipInfo], max_unpacked_ratio: float) -> str | None:
    """Why ingest would reject an archive, whatever its other members; None if it would not."""
    for entry in entries:
        path = PurePosixPath(entry.filename)
        if path.is_absolute() or ".." in path.parts:
            return "archive contains unsafe paths"
        if entry.file_size > max(_SMALL_BYTES, entry.compress_size * max_unpacked_ratio):
            return "unpacked size far above the packed size"
    return None


def grouped_members(
    members: Sequence[SeenFile], noise: FileWords, *, taken: Iterable[str]
) -> tuple[list[Group], list[tuple[str, str]]]:
    """Group members into sources whose path names archive and member. Also returns (file, reason) for those without one."""
    groups, left_over = grouped(members, noise, taken=set(taken))
    every = [_split(file.name) for file in members]
    described = []
    for group in groups:
        path = _path_of([_split(file.name) for file in group.files], every, noise)
        if path is None:
            left_over += [(file.name, NO_PATTERN) for file in group.files]
        else:
            described.append(replace(group, how=group.how.model_copy(update={"path": path})))
    return described, left_over


def _split(name: str) -> tuple[str, str]:
    """Archive and member of `folder/archive.zip/member`."""
    at = name.lower().index(f"{_ENDING}/") + len(_ENDING)
    return name[:at], name[at + 1 :]


def _path_of(own: Sequence[tuple[str, str]], every: Sequence[tuple[str, str]], noise: FileWords) -> str | None:
    """Most general glob of archives and members that matches these members and no others, or None."""
    archives = sorted({archive for archive, _ in own})
    others = sorted({archive for archive, _ in every} - {*archives})
    for apart_from in ([], others):
        archive_glob = pattern_of(archives, apart_from, noise)
        if archive_glob is None:
            continue
        is_matched = glob_pattern(archive_glob).fullmatch
        foreign = sorted({member for archive, member in {*every} - {*own} if is_matched(archive)})
        member_glob = pattern_of(sorted({member for _, member in own}), foreign, noise)
        if member_glob is not None:
            return f"{archive_glob}!{member_glob}"
    return None
