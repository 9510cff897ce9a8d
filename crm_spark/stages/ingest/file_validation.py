"""Validate files before ingest: digest, columns, and whether the content matches the format.

Spark silently accepts many of the defects checked here: bytes in another encoding become U+FFFD, and an unterminated quote
merges the rest of the file into one cell. A damaged file is rejected with a reason code; other files are still read.
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
from crm_spark.stages.ingest.source_file import ARCHIVE_SEPARATOR, SourceFile
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
class FileReport:
    """Validation result of a file or archive member (`orders.zip!2025/orders.csv`).

    Attributes:
        name: name relative to the data folder.
        digest: SHA-256 (hex) of the file's bytes; for a member, of the unpacked bytes.
        num_bytes: number of these bytes.
        columns: header columns as encoded in bronze; empty for JSON.
        damage: reason code of the defect, or None.
        has_lone_surrogates: whether the JSON contains escaped lone surrogates.
    """

    name: str
    digest: str
    num_bytes: int
    columns: tuple[str, ...] = ()
    damage: str | None = None
    has_lone_surrogates: bool = False


class _DamagedError(Exception):
    """The file is damaged; the message is the reason code."""


def examine_files(
    spark: SparkSession, files: list[tuple[SourceFile, Files]], *, max_unpacked_ratio: float
) -> dict[tuple[str, str], list[FileReport]]:
    """Validate files in Spark tasks, one file per row. Returns the results by source and file name."""
    rows = [(file.source, file.name, file.path, how.model_dump_json()) for file, how in files]
    frame = spark.createDataFrame(rows, "source string, file string, path string, how string")
    num_tasks = min(len(rows), 4 * spark.sparkContext.defaultParallelism)

    def look(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        system = fs.LocalFileSystem()
        for part in frames:
            for row in part.itertuples():
                how = Files.model_validate_json(row.how)
                reports = examine(system, row.path, row.file, how, max_unpacked_ratio=max_unpacked_ratio)
                yield pd.DataFrame(
                    [{"source": row.source, "file": row.file, **asdict(e), "columns": list(e.columns)} for e in reports]
                )

    result: dict[tuple[str, str], list[FileReport]] = {}
    for row in frame.repartition(num_tasks).mapInPandas(look, _SCHEMA).collect():
        values = {name: row[name] for name in ("name", "digest", "num_bytes", "damage", "has_lone_surrogates")}
        examined = FileReport(**values, columns=tuple(row["columns"]))
        result.setdefault((row["source"], row["file"]), []).append(examined)
    return {key: sorted(reports, key=lambda e: e.name) for key, reports in result.items()}


def examine(system: fs.FileSystem, path: str, name: str, how: Files, *, max_unpacked_ratio: float) -> list[FileReport]:
    """Validate a file, or each member of an archive; defects are returned, not raised."""
    try:
        digest, num_bytes = _digest(_chunks(system.open_input_stream(path, compression=None)))
    except OSError:
        return [FileReport(name, hashlib.sha256(name.encode()).hexdigest(), 0, damage=NOT_READABLE)]
    try:
        if num_bytes == 0:
            raise _DamagedError(EMPTY)
        if name.lower().endswith(".zip"):
            return _members(system, path, name, how, max_unpacked_ratio=max_unpacked_ratio)
        if how.format == "parquet":
            return [FileReport(name, digest, num_bytes, _check_parquet(system, path))]
        limit = max(_SMALL_BYTES, int(num_bytes * max_unpacked_ratio))
        columns, has_lone_surrogates = _check_text(lambda: opened(system, path), how, limit=limit)
        return [FileReport(name, digest, num_bytes, columns, has_lone_surrogates=has_lone_surrogates)]
    except _DamagedError as error:
        return [FileReport(name, digest, num_bytes, damage=str(error))]


def _members(system: fs.FileSystem, path: str, name: str, how: Files, *, max_unpacked_ratio: float) -> list[FileReport]:
    reports = []
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
            reports.append(_member(archive, entry, full, how, limit=limit))
    if not reports:
        raise _DamagedError(EMPTY)
    return reports


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, how: Files, *, limit: int) -> FileReport:
    try:
        digest, num_bytes = _digest(_limited(_chunks(_CheckedStream(archive.open(entry))), limit))
    except _DamagedError as error:
        # The content cannot be read: use the checksum recorded in the archive instead.
        return FileReport(
            name, hashlib.sha256(f"{name}:{entry.CRC}".encode()).hexdigest(), entry.file_size, (), str(error)
        )
    try:
        if num_bytes == 0:
            raise _DamagedError(EMPTY)
        if how.format == "parquet":
            raise _DamagedError(DAMAGED)  # zipped Parquet is not supported
        columns, has_lone_surrogates = _check_text(lambda: archive.open(entry), how, limit=limit)
        return FileReport(name, digest, num_bytes, columns, has_lone_surrogates=has_lone_surrogates)
    except _DamagedError as error:
        return FileReport(name, digest, num_bytes, damage=str(error))


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
    """Open a file for reading and decompress it according to its extension."""
    raw: Any = system.open_input_stream(path, compression=None)
    if path.endswith(".gz"):
        return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
    if path.endswith(".bz2"):
        return bz2.BZ2File(raw)
    return pa.CompressedInputStream(raw, "zstd") if path.endswith((".zst", ".zstd")) else raw


class _CheckedStream:
    """Stream wrapper that converts decompression errors to reason codes."""

    def __init__(self, stream: Any):
        self.stream = stream

    def read(self, size: int) -> bytes:
        try:
            data: bytes = self.stream.read(size)
            return data
        except EOFError:
            raise _DamagedError(TRUNCATED) from None
        # NotImplementedError: unknown compression method; RuntimeError: encrypted archive member.
        except (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
            raise _DamagedError(DAMAGED) from None
        except OSError as error:
            code = TRUNCATED if "truncated" in str(error).lower() else DAMAGED
            raise _DamagedError(code) from None

    def __enter__(self) -> "_CheckedStream":
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
    """Decompress and decode a text file, check for NUL bytes, and parse CSV files with quotes.

    Returns:
        The header columns, and whether JSON contains escaped lone surrogates.
    """
    options, escaper = how.options, SurrogateEscaper()
    decoder = codecs.getincrementaldecoder(codec_of(options.encoding))("strict")
    head, has_quotes, has_text = "", False, False
    try:
        for chunk in _limited(_chunks(_CheckedStream(open_bytes())), limit):
            text = decoder.decode(chunk)
            has_text = has_text or bool(text)
            if "\0" in text:
                raise _DamagedError(NUL)
            if len(head) < _HEADER_CHARACTERS:
                head += text[:_HEADER_CHARACTERS]
            has_quotes = has_quotes or options.quote in text
            if how.format != "csv":
                escaper.feed(text)
        decoder.decode(b"", final=True)
    except UnicodeError:
        raise _DamagedError(WRONG_ENCODING) from None
    if not has_text or not head.strip():
        raise _DamagedError(EMPTY)
    if how.format == "json":
        _check_document(open_bytes, options.encoding)
    if how.format != "csv":
        escaper.feed("", is_last=True)
        return (), escaper.has_found
    if options.multi_line and has_quotes and _has_unterminated_quote(open_bytes, how):
        raise _DamagedError(UNTERMINATED)
    return _header(head, how), False


def codec_of(encoding: str) -> str:
    """Python codec name of an encoding; UTF-8 is read with or without a byte order mark."""
    return "utf-8-sig" if encoding.lower().replace("_", "-") in ("utf-8", "utf8") else encoding


def _header(head: str, how: Files) -> tuple[str, ...]:
    names = next((row for row in _csv_rows([head], how) if row), [])
    columns = tuple(encoded(name, position) for position, name in enumerate(names))
    if len({column.lower() for column in columns}) < len(columns):
        raise _DamagedError(DUPLICATE_COLUMN)
    return columns


def _csv_rows(texts: Iterable[str], how: Files) -> Iterator[list[str]]:
    """Parse CSV rows with Python's csv module; multi-character delimiters are replaced first."""
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


def _has_unterminated_quote(open_bytes: Any, how: Files) -> bool:
    """Whether a quote is never closed: a sentinel line appended to the file is not parsed as its own row."""
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
    """Batch size in rows, limited by the average row size."""
    num_bytes = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    return min(max(metadata.num_rows * _BATCH_BYTES // max(num_bytes, 1), 1), _BATCH_ROWS)


def _check_texts(batch: pa.RecordBatch) -> None:
    """Check that string columns are valid UTF-8; neither Arrow nor Spark checks this when reading."""
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        raise _DamagedError(WRONG_ENCODING) from None


def _check_parquet(system: fs.FileSystem, path: str) -> tuple[str, ...]:
    """Decode every page and verify page checksums if present; return the columns."""
    try:
        with system.open_input_file(path) as raw:
            table = pq.ParquetFile(raw, buffer_size=_CHUNK_BYTES, page_checksum_verification=True)
            for batch in table.iter_batches(batch_size=_rows_at_once(table.metadata)):
                _check_texts(batch)
            names = list(table.schema_arrow.names)
    except (pa.ArrowException, OSError, EOFError):
        raise _DamagedError(DAMAGED) from None
    return tuple(encoded(name, position) for position, name in enumerate(names))
