"""The first records of large files, so that their preview is quick."""

import codecs
import json
import os
import shutil
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow.parquet as pq
from pyarrow import fs

from crm_spark.core.uris import is_remote
from crm_spark.onboarding.format_detection import list_start
from crm_spark.sources.config import Source
from crm_spark.sources.files import Files
from crm_spark.stages.ingest.discovery import list_files
from crm_spark.stages.ingest.globs import glob_pattern
from crm_spark.stages.ingest.source_file import SourceFile

MAX_BYTES = 32 << 20
"""Bytes of each source that a preview reads."""
_PACKED = (".gz", ".bz2", ".zst", ".zstd", ".zip")
_PACKED_RATIO = 8
"""Assumed size of an unpacked file relative to the packed one."""
_MEGABYTE = 1 << 20


@dataclass(frozen=True)
class Sampled:
    """Folder with the files of a preview.

    Attributes:
        data_dir: the folder.
        notes: a sentence for each source of which only a part is read.
    """

    data_dir: str
    notes: list[str]


def sampled(sources: Iterable[Source], data_dir: str, scratch: Path, *, max_bytes: int = MAX_BYTES) -> Sampled:
    """Limit the files of each source to `max_bytes`: the newest files, of which the last may be cut after a record.

    Args:
        sources: the sources.
        data_dir: folder with their files.
        scratch: empty folder for links and cut copies.
        max_bytes: bytes of each source.

    Returns:
        The folder itself if no source has more.
    """
    notes: list[str] = []
    limits: dict[str, tuple[SourceFile, Files, int | None]] = {}
    for source in sources:
        if source.files is None or is_remote(data_dir):
            continue
        files = [file for file in list_files(None, source, data_dir) if file.blocked is None]
        sizes = {file.name: _size(file) for file in files}
        total, left, num_read = sum(sizes.values()), max_bytes, 0
        for file in sorted(files, key=lambda f: (f.modified_at, f.name), reverse=True):
            if left <= 0:
                break
            limits[file.name] = file, source.files, left if sizes[file.name] > left else None
            left, num_read = left - sizes[file.name], num_read + 1
        if total > max_bytes:
            notes.append(
                f"{source.name}: sampled. About {max_bytes / _MEGABYTE:.0f} of {total / _MEGABYTE:,.0f} MB are read, from "
                f"{num_read} of {len(files)} files; its counts, matches and revenue are those of the sample."
            )
    if not notes:
        return Sampled(data_dir, [])
    for name, (file, how, limit) in limits.items():
        target = scratch / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if limit is None or how.format == "excel":
            _link(file.path, target)
        else:
            _cut(file.path, target, how, limit)
    return Sampled(str(scratch), notes)


def _size(file: SourceFile) -> int:
    return file.num_bytes * (_PACKED_RATIO if file.name.lower().endswith(_PACKED) else 1)


def _link(path: str, target: Path) -> None:
    try:
        os.link(path, target)
    except OSError:  # another disk
        shutil.copy2(path, target)


def _cut(path: str, target: Path, how: Files, num_bytes: int) -> None:
    if how.format == "parquet":
        _cut_parquet(path, target, num_bytes)
    elif path.lower().endswith(".zip"):
        _cut_archive(path, target, how, num_bytes)
    else:
        system = fs.LocalFileSystem()
        with system.open_input_stream(path) as source, system.open_output_stream(str(target)) as copy:
            copy.write(_head(source, how, num_bytes))


def _cut_parquet(path: str, target: Path, num_bytes: int) -> None:
    with pq.ParquetFile(path) as file:
        left = max(1, file.metadata.num_rows * num_bytes // max(os.path.getsize(path), 1))
        with pq.ParquetWriter(target, file.schema_arrow) as writer:
            for batch in file.iter_batches():
                writer.write_batch(batch.slice(0, left))
                left -= batch.num_rows
                if left <= 0:
                    return


def _cut_archive(path: str, target: Path, how: Files, num_bytes: int) -> None:
    is_read = glob_pattern(how.members).fullmatch if how.members is not None else lambda name: True
    with zipfile.ZipFile(path) as source, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as copy:
        members = [m for m in source.infolist() if not m.is_dir() and is_read(m.filename)]
        for member in members:
            with source.open(member) as stream:
                copy.writestr(member.filename, _head(stream, how, max(1, num_bytes // len(members))))


def _head(stream: IO[bytes] | Any, how: Files, num_bytes: int) -> bytes:
    """The first complete records of a text file."""
    content, encoding = stream.read(num_bytes + 1), how.options.encoding
    if len(content) <= num_bytes:
        return content
    text = codecs.getincrementaldecoder(encoding)("surrogateescape").decode(content[:num_bytes])
    cut = _whole_elements(text) if how.format == "json" else _whole_lines(text, how.options.quote_character)
    return cut.encode(encoding, "surrogateescape")


def _whole_lines(text: str, quote: str) -> str:
    """The text up to the last line break outside quotes."""
    end = text.rfind("\n")
    num_quotes = text.count(quote, 0, end) if quote and end > 0 else 0
    while end > 0 and num_quotes % 2:
        earlier = text.rfind("\n", 0, end)
        num_quotes -= text.count(quote, max(earlier, 0), end)
        end = earlier
    return text[: end + 1]


def _whole_elements(text: str) -> str:
    """A JSON document whose list of records ends after the last complete one."""
    path, start = list_start(text)
    decoder, end = json.JSONDecoder(), start + 1
    at = end
    while True:
        while at < len(text) and text[at] in " \t\r\n,":
            at += 1
        try:
            _, at = decoder.raw_decode(text, at)
        except ValueError:
            break
        end = at
    return text[:end] + "]" + "}" * (path.count(".") + 1 if path else 0)
