"""Looks at a file that arrived, before it is read: its digest, its columns, and whether it is what its format says.

Spark would read on over much of what is checked here: bytes of another encoding become U+FFFD, a quote that is never
closed swallows the rest of the file into one cell. A file that is damaged is refused with a code; the others are read.
"""

import bz2
import codecs
import csv
import gzip
import hashlib
import io
import json
import sys
import zipfile
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import PurePosixPath
from typing import IO, Any

import pandas as pd
import pyarrow as pa
from pyarrow import fs
from pyarrow import parquet as pq
from pyspark.sql import SparkSession

from crm_spark.contracts.bronze_columns import encoded
from crm_spark.sources.config import Files
from crm_spark.stages.ingest.discovery import ARCHIVE_SEPARATOR, SourceFile
from crm_spark.stages.ingest.surrogates import SurrogateEscaper

EMPTY, TRUNCATED, DAMAGED, NOT_READABLE = "empty_file", "truncated_file", "damaged_file", "not_readable"
WRONG_ENCODING, NUL, UNTERMINATED = "wrong_encoding", "nul_bytes", "unterminated_quote"
TOO_LARGE, UNSAFE_MEMBER, DUPLICATE_COLUMN = "too_large_unpacked", "unsafe_member", "duplicate_column"
_CHUNK_BYTES = 1 << 20
_HEADER_CHARACTERS = 1 << 20
_SMALL_BYTES = 64 << 20
_BATCH_BYTES, _BATCH_ROWS = 4 << 20, 65_536
_SCHEMA = (
    "source string, file string, name string, digest string, num_bytes long, columns array<string>, damage string, "
    "has_lone_surrogates boolean"
)


@dataclass(frozen=True)
class Examined:
    """A file, or a member of an archive (`orders.zip!2025/orders.csv`).

    Attributes:
        name: name below the data folder.
        digest: SHA-256 (hex) of its bytes as they lie there; of a member: of its own bytes.
        num_bytes: their number.
        columns: names of its header, as bronze spells them; empty for JSON, whose records name their own.
        damage: code of what is wrong with it, or null.
        has_lone_surrogates: its JSON escapes halves of characters.
    """

    name: str
    digest: str
    num_bytes: int
    columns: tuple[str, ...] = ()
    damage: str | None = None
    has_lone_surrogates: bool = False


class _DamagedError(Exception):
    """What was found wrong; the message is the code."""


def examine_files(
    spark: SparkSession, files: list[tuple[SourceFile, Files]], *, max_unpacked_ratio: float
) -> dict[tuple[str, str], list[Examined]]:
    """What each file is, by source and name; the bytes are read by Spark's tasks, a file per row."""
    rows = [(file.source, file.name, file.path, how.model_dump_json()) for file, how in files]
    frame = spark.createDataFrame(rows, "source string, file string, path string, how string")
    num_tasks = min(len(rows), 4 * spark.sparkContext.defaultParallelism)

    def look(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        system = fs.LocalFileSystem()
        for part in frames:
            for row in part.itertuples():
                how = Files.model_validate_json(row.how)
                found = examine(system, row.path, row.file, how, max_unpacked_ratio=max_unpacked_ratio)
                yield pd.DataFrame(
                    [{"source": row.source, "file": row.file, **asdict(e), "columns": list(e.columns)} for e in found]
                )

    result: dict[tuple[str, str], list[Examined]] = {}
    for row in frame.repartition(num_tasks).mapInPandas(look, _SCHEMA).collect():
        said = {name: row[name] for name in ("name", "digest", "num_bytes", "damage", "has_lone_surrogates")}
        examined = Examined(**said, columns=tuple(row["columns"]))
        result.setdefault((row["source"], row["file"]), []).append(examined)
    return {key: sorted(found, key=lambda e: e.name) for key, found in result.items()}


def examine(system: fs.FileSystem, path: str, name: str, how: Files, *, max_unpacked_ratio: float) -> list[Examined]:
    """The file, or each member of the archive; whatever is wrong with it is said and not raised."""
    try:
        digest, num_bytes = _digest(_chunks(system.open_input_stream(path, compression=None)))
    except OSError:
        return [Examined(name, hashlib.sha256(name.encode()).hexdigest(), 0, damage=NOT_READABLE)]
    try:
        if num_bytes == 0:
            raise _DamagedError(EMPTY)
        if name.lower().endswith(".zip"):
            return _members(system, path, name, how, max_unpacked_ratio=max_unpacked_ratio)
        if how.format == "parquet":
            return [Examined(name, digest, num_bytes, _check_parquet(system, path))]
        limit = max(_SMALL_BYTES, int(num_bytes * max_unpacked_ratio))
        columns, has_halves = _check_text(lambda: opened(system, path), how, limit=limit)
        return [Examined(name, digest, num_bytes, columns, has_lone_surrogates=has_halves)]
    except _DamagedError as found:
        return [Examined(name, digest, num_bytes, damage=str(found))]


def _members(system: fs.FileSystem, path: str, name: str, how: Files, *, max_unpacked_ratio: float) -> list[Examined]:
    found = []
    with system.open_input_file(path) as raw:
        try:
            archive = zipfile.ZipFile(raw)
        except (zipfile.BadZipFile, OSError, ValueError):
            raise _DamagedError(DAMAGED) from None
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            member = PurePosixPath(entry.filename.replace("\\", "/"))
            if member.is_absolute() or ".." in member.parts or ":" in entry.filename:
                raise _DamagedError(UNSAFE_MEMBER)
            full = f"{name}{ARCHIVE_SEPARATOR}{entry.filename}"
            limit = max(_SMALL_BYTES, int(entry.compress_size * max_unpacked_ratio))
            found.append(_member(archive, entry, full, how, limit=limit))
    if not found:
        raise _DamagedError(EMPTY)
    return found


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, how: Files, *, limit: int) -> Examined:
    try:
        digest, num_bytes = _digest(_limited(_chunks(_caught(archive.open(entry))), limit))
    except _DamagedError as found:
        # Its own digest is out of reach: what the archive says of it stands in.
        return Examined(
            name, hashlib.sha256(f"{name}:{entry.CRC}".encode()).hexdigest(), entry.file_size, (), str(found)
        )
    try:
        if num_bytes == 0:
            raise _DamagedError(EMPTY)
        if how.format == "parquet":
            raise _DamagedError(DAMAGED)  # Parquet is compressed in itself; nobody zips it but by mistake
        columns, has_halves = _check_text(lambda: archive.open(entry), how, limit=limit)
        return Examined(name, digest, num_bytes, columns, has_lone_surrogates=has_halves)
    except _DamagedError as found:
        return Examined(name, digest, num_bytes, damage=str(found))


def _digest(chunks: Iterable[bytes]) -> tuple[str, int]:
    digest, num_bytes = hashlib.sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        num_bytes += len(chunk)
    return digest.hexdigest(), num_bytes


def _chunks(stream: Any) -> Iterator[bytes]:
    with stream:
        while chunk := stream.read(_CHUNK_BYTES):
            yield chunk


def opened(system: fs.FileSystem, path: str) -> IO[bytes]:
    """The bytes a reader sees; compression is told from the ending."""
    raw: Any = system.open_input_stream(path, compression=None)
    if path.endswith(".gz"):
        return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
    if path.endswith(".bz2"):
        return bz2.BZ2File(raw)
    return pa.CompressedInputStream(raw, "zstd") if path.endswith((".zst", ".zstd")) else raw


class _caught:
    """A stream whose own complaints about its bytes become our codes."""

    def __init__(self, stream: Any):
        self.stream = stream

    def read(self, size: int) -> bytes:
        try:
            data: bytes = self.stream.read(size)
            return data
        except EOFError:
            raise _DamagedError(TRUNCATED) from None
        # The last two are an archive's: a compression that is not known, a member that is encrypted.
        except (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
            raise _DamagedError(DAMAGED) from None
        except OSError as error:
            code = TRUNCATED if "truncated" in str(error).lower() else DAMAGED
            raise _DamagedError(code) from None

    def __enter__(self) -> "_caught":
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()


def _limited(chunks: Iterable[bytes], limit: int) -> Iterator[bytes]:
    total = 0
    for chunk in chunks:
        total += len(chunk)
        if total > limit:
            raise _DamagedError(TOO_LARGE)
        yield chunk


def _check_text(open_bytes: Any, how: Files, *, limit: int) -> tuple[tuple[str, ...], bool]:
    """Unpacks, decodes, looks for NUL; of a CSV with quotes, splits it too.

    Returns:
        The header's columns, and whether JSON escapes halves of characters.
    """
    options, mender = how.options, SurrogateEscaper()
    decoder = codecs.getincrementaldecoder(codec_of(options.encoding))("strict")
    head, has_quotes, is_any = "", False, False
    try:
        for chunk in _limited(_chunks(_caught(open_bytes())), limit):
            text = decoder.decode(chunk)
            is_any = is_any or bool(text)
            if "\0" in text:
                raise _DamagedError(NUL)
            if len(head) < _HEADER_CHARACTERS:
                head += text[:_HEADER_CHARACTERS]
            has_quotes = has_quotes or options.quote in text
            if how.format != "csv":
                mender.feed(text)
        decoder.decode(b"", final=True)
    except UnicodeError:
        raise _DamagedError(WRONG_ENCODING) from None
    if not is_any or not head.strip():
        raise _DamagedError(EMPTY)
    if how.format == "json":
        _check_document(open_bytes, options.encoding)
    if how.format != "csv":
        mender.feed("", is_last=True)
        return (), mender.has_found
    if options.multi_line and has_quotes and _swallows_the_rest(open_bytes, how):
        raise _DamagedError(UNTERMINATED)
    return _header(head, how), False


def codec_of(encoding: str) -> str:
    """Python's name of the encoding; of UTF-8 with or without its mark."""
    return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding


def _header(head: str, how: Files) -> tuple[str, ...]:
    names = next((row for row in _csv_rows([head], how) if row), [])
    columns = tuple(encoded(name, position) for position, name in enumerate(names))
    if len({column.lower() for column in columns}) < len(columns):
        raise _DamagedError(DUPLICATE_COLUMN)
    return columns


def _csv_rows(texts: Iterable[str], how: Files) -> Iterator[list[str]]:
    """Cells as Python's reader splits them; it takes delimiters of one character, a longer one is written as such first."""
    options = how.options
    csv.field_size_limit(sys.maxsize)
    lines = (line for text in texts for line in io.StringIO(text, newline=""))
    delimiter = options.delimiter
    if len(delimiter) > 1:
        lines, delimiter = (line.replace(options.delimiter, "\x1f") for line in lines), "\x1f"
    doubled = options.escape == options.quote
    yield from csv.reader(
        lines,
        delimiter=delimiter,
        quotechar=options.quote,
        doublequote=doubled,
        escapechar=None if doubled else options.escape,
    )


def _swallows_the_rest(open_bytes: Any, how: Files) -> bool:
    """Whether the last quote is never closed: a line put behind the end does not come out as a row of its own."""
    sentinel = "\x1eend\x1e"
    with io.TextIOWrapper(open_bytes(), encoding=codec_of(how.options.encoding), newline="") as text:
        last = deque(_csv_rows(chain(text, ["\n", sentinel]), how), maxlen=1)
    return list(last) != [[sentinel]]


def _check_document(open_bytes: Any, encoding: str) -> None:
    with io.TextIOWrapper(open_bytes(), encoding=codec_of(encoding)) as text:
        try:
            json.load(text)
        except ValueError:
            raise _DamagedError(DAMAGED) from None


def _rows_at_once(metadata: pq.FileMetaData) -> int:
    """How many rows may be decoded together: a text may have a megabyte."""
    num_bytes = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    return min(max(metadata.num_rows * _BATCH_BYTES // max(num_bytes, 1), 1), _BATCH_ROWS)


def _check_texts(batch: pa.RecordBatch) -> None:
    """Nothing else looks whether what is called text is UTF-8, and the first worker that took it for that would die."""
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        raise _DamagedError(WRONG_ENCODING) from None


def _check_parquet(system: fs.FileSystem, path: str) -> tuple[str, ...]:
    """Every page is decoded and, where its writer kept a checksum, checked against it."""
    try:
        with system.open_input_file(path) as raw:
            table = pq.ParquetFile(raw, buffer_size=_CHUNK_BYTES, page_checksum_verification=True)
            for batch in table.iter_batches(batch_size=_rows_at_once(table.metadata)):
                _check_texts(batch)
            names = list(table.schema_arrow.names)
    except (pa.ArrowException, OSError, EOFError):
        raise _DamagedError(DAMAGED) from None
    return tuple(encoded(name, position) for position, name in enumerate(names))
