"""Validate files before ingest: digest, columns, and whether the content matches the format.

Spark silently accepts many of the defects checked here: bytes in another encoding become U+FFFD, and an unterminated quote
merges the rest of the file into one cell. A damaged file is rejected with reason code, position and hint; other files are
still read. Files that are intact but that Spark cannot read as they are get a rewritten copy later.
"""

import bz2
import gzip
import hashlib
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import PurePosixPath
from typing import IO, Any

import pandas as pd
import pyarrow as pa
from pyarrow import fs
from pyarrow import parquet as pq
from pyspark.sql import SparkSession

from crm_spark.contracts.bronze_columns import encoded
from crm_spark.core.context import in_parallel
from crm_spark.sources.files import Files
from crm_spark.stages.ingest.csv_validation import check_csv
from crm_spark.stages.ingest.file_reasons import (
    DAMAGED,
    DUPLICATE_COLUMN,
    EMPTY,
    HINTS,
    NO_MEMBER,
    NOT_READABLE,
    READ_FAILED,
    TOO_LARGE,
    TRUNCATED,
    UNSAFE_MEMBER,
    WRONG_ENCODING,
    DamagedFileError,
)
from crm_spark.stages.ingest.globs import glob_pattern
from crm_spark.stages.ingest.json_records import KeyCollector
from crm_spark.stages.ingest.parquet_columns import is_binary, is_text, needs_copy
from crm_spark.stages.ingest.source_file import ARCHIVE_SEPARATOR, SourceFile
from crm_spark.stages.ingest.surrogates import SurrogateEscaper
from crm_spark.stages.ingest.table_text import SEPARATOR_HINT, copy_options, is_rewritten, table_lines
from crm_spark.stages.ingest.text_decoding import CHUNK_BYTES, Decoded, Open, as_text, chunks, is_read_by_spark

_HEADER_CHARACTERS = 1 << 20
_SMALL_BYTES = 64 << 20
_BATCH_BYTES, _BATCH_ROWS = 4 << 20, 65_536
_SCHEMA = (
    "source string, file string, name string, digest string, num_bytes long, columns array<string>, damage string, "
    "position string, hint string, keys array<string>, binary_columns array<string>, needs_copy boolean, "
    "is_unquoted boolean, num_replaced long"
)
_LISTS = ("columns", "keys", "binary_columns")


@dataclass(frozen=True)
class FileReport:
    """Validation result of a file or archive member (`orders.zip!2025/orders.csv`).

    Attributes:
        name: name relative to the data folder.
        digest: SHA-256 (hex) of the file's bytes; for a member, of the unpacked bytes.
        num_bytes: number of these bytes.
        columns: header columns as encoded in bronze; empty for JSON.
        damage: reason code of the defect, or None.
        position: where the defect is; empty if unknown.
        hint: what to do about the defect.
        keys: keys of the JSON records, as written.
        binary_columns: Parquet columns whose bytes are not text.
        needs_copy: whether Spark must read a rewritten copy.
        is_unquoted: whether quotes in a CSV file are ordinary characters.
        num_replaced: number of invalid byte sequences replaced by U+FFFD.
    """

    name: str
    digest: str
    num_bytes: int
    columns: tuple[str, ...] = ()
    damage: str | None = None
    position: str = ""
    hint: str = ""
    keys: tuple[str, ...] = ()
    binary_columns: tuple[str, ...] = ()
    needs_copy: bool = False
    is_unquoted: bool = False
    num_replaced: int = 0


def validated_file(file: SourceFile, report: FileReport) -> SourceFile:
    """The file, or its member, with what validation found out about reading it."""
    return replace(
        file,
        name=report.name,
        num_bytes=report.num_bytes,
        columns=report.columns,
        keys=report.keys,
        binary_columns=report.binary_columns,
        needs_copy=report.needs_copy,
        is_unquoted=report.is_unquoted,
        num_replaced=report.num_replaced,
    )


def examine_files(
    spark: SparkSession, files: list[tuple[SourceFile, Files]], *, max_unpacked_ratio: float, is_on_driver: bool = False
) -> dict[tuple[str, str], list[FileReport]]:
    """Validate files in Spark tasks, one file per row. Returns the results by source and file name.

    A file that ends the Python process is found by halving the list, and rejected. With `is_on_driver` the driver validates them,
    because executors do not see them.
    """
    if is_on_driver:
        system = fs.LocalFileSystem()
        each = in_parallel(
            lambda pair: examine(system, pair[0].path, pair[0].name, pair[1], max_unpacked_ratio=max_unpacked_ratio),
            files,
        )
        return {
            (file.source, file.name): sorted(reports, key=lambda e: e.name) for (file, _), reports in zip(files, each)
        }
    try:
        return _examined(spark, files, max_unpacked_ratio=max_unpacked_ratio)
    except Exception:
        spark.range(1).count()  # raises if Spark itself has ended
        if len(files) == 1:
            ((file, _),) = files
            return {(file.source, file.name): [_rejected(file.name, file.num_bytes, DamagedFileError(READ_FAILED))]}
        middle = len(files) // 2
        halves = (
            examine_files(spark, part, max_unpacked_ratio=max_unpacked_ratio)
            for part in (files[:middle], files[middle:])
        )
        return {key: reports for half in halves for key, reports in half.items()}


def _examined(
    spark: SparkSession, files: list[tuple[SourceFile, Files]], *, max_unpacked_ratio: float
) -> dict[tuple[str, str], list[FileReport]]:
    rows = [(file.source, file.name, file.path, how.model_dump_json()) for file, how in files]
    frame = spark.createDataFrame(rows, "source string, file string, path string, how string")
    num_tasks = min(len(rows), 4 * spark.sparkContext.defaultParallelism)

    def look(frames: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        system = fs.LocalFileSystem()
        for part in frames:
            for row in part.itertuples():
                how = Files.model_validate_json(row.how)
                reports = examine(system, row.path, row.file, how, max_unpacked_ratio=max_unpacked_ratio)
                lists = [{name: list(getattr(e, name)) for name in _LISTS} for e in reports]
                yield pd.DataFrame(
                    [{"source": row.source, "file": row.file, **asdict(e), **more} for e, more in zip(reports, lists)]
                )

    result: dict[tuple[str, str], list[FileReport]] = {}
    for row in frame.repartition(num_tasks).mapInPandas(look, _SCHEMA).collect():
        values = row.asDict()
        key = values.pop("source"), values.pop("file")
        report = FileReport(**{**values, **{name: tuple(values[name]) for name in _LISTS}})
        result.setdefault(key, []).append(report)
    return {key: sorted(reports, key=lambda e: e.name) for key, reports in result.items()}


def examine(system: fs.FileSystem, path: str, name: str, how: Files, *, max_unpacked_ratio: float) -> list[FileReport]:
    """Validate a file, or each member of an archive; defects are returned, not raised."""
    try:
        digest, num_bytes = _digest(chunks(system.open_input_stream(path, compression=None)))
    except OSError:
        return [_rejected(name, 0, DamagedFileError(NOT_READABLE))]

    def report() -> list[FileReport]:
        if num_bytes == 0:
            raise DamagedFileError(EMPTY)
        if name.lower().endswith(".zip"):
            return _members(system, path, name, how, max_unpacked_ratio=max_unpacked_ratio)
        sound = FileReport(name, digest, num_bytes)
        if how.format == "parquet":
            return [_check_parquet(system, path, sound)]
        limit = max(_SMALL_BYTES, int(num_bytes * max_unpacked_ratio))
        return [_check_text(lambda: opened(system, path), how, sound, limit=limit)]

    try:
        return _guarded(report)
    except DamagedFileError as error:
        return [_rejected(name, num_bytes, error, digest)]


def _guarded(check: Callable[[], Any]) -> Any:
    """Run a check; whatever else a library raises on damaged content is a defect of the file, too."""
    try:
        return check()
    except DamagedFileError:
        raise
    except Exception as error:
        raise DamagedFileError(DAMAGED, hint=f"{HINTS[DAMAGED]} ({type(error).__name__})") from None


def _rejected(name: str, num_bytes: int, error: DamagedFileError, digest: str | None = None) -> FileReport:
    digest = digest or hashlib.sha256(name.encode()).hexdigest()
    return FileReport(name, digest, num_bytes, damage=error.code, position=error.position, hint=error.hint)


def _members(system: fs.FileSystem, path: str, name: str, how: Files, *, max_unpacked_ratio: float) -> list[FileReport]:
    reports, has_others = [], False
    wanted = None if how.members is None else glob_pattern(how.members)
    with system.open_input_file(path) as raw:
        try:
            archive = zipfile.ZipFile(raw)
        except (zipfile.BadZipFile, OSError, ValueError):
            raise DamagedFileError(DAMAGED) from None
        for entry in archive.infolist():
            if entry.is_dir():
                continue
            member = PurePosixPath(entry.filename.replace("\\", "/"))
            if member.is_absolute() or ".." in member.parts or ":" in entry.filename:
                raise DamagedFileError(UNSAFE_MEMBER)
            if member.name.startswith(".") or "__MACOSX" in member.parts:
                continue  # what macOS adds to an archive
            if wanted is not None and not wanted.fullmatch(str(member)):
                has_others = True
                continue
            full = f"{name}{ARCHIVE_SEPARATOR}{entry.filename}"
            limit = max(_SMALL_BYTES, int(entry.compress_size * max_unpacked_ratio))
            reports.append(_member(archive, entry, full, how, limit=limit))
    if not reports:
        raise DamagedFileError(NO_MEMBER if has_others else EMPTY)
    return reports


def _member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, how: Files, *, limit: int) -> FileReport:
    try:
        digest, num_bytes = _guarded(
            lambda: _digest(_limited(chunks(_CheckedStream(lambda: archive.open(entry))), limit))
        )
    except DamagedFileError as error:
        # The content cannot be read: use the checksum recorded in the archive instead.
        return _rejected(name, entry.file_size, error, hashlib.sha256(f"{name}:{entry.CRC}".encode()).hexdigest())

    def report() -> FileReport:
        if num_bytes == 0:
            raise DamagedFileError(EMPTY)
        if how.format == "parquet":
            raise DamagedFileError(DAMAGED, hint="Unpack the archive: Parquet is not read from archives.")
        return _check_text(lambda: archive.open(entry), how, FileReport(name, digest, num_bytes), limit=limit)

    try:
        checked: FileReport = _guarded(report)
        return checked
    except DamagedFileError as error:
        return _rejected(name, num_bytes, error, digest)


def _digest(content: Iterable[bytes]) -> tuple[str, int]:
    digest, num_bytes = hashlib.sha256(), 0
    for chunk in content:
        digest.update(chunk)
        num_bytes += len(chunk)
    return digest.hexdigest(), num_bytes


def opened(system: fs.FileSystem, path: str) -> IO[bytes]:
    """Open a file for reading and decompress it according to its extension."""
    raw: Any = system.open_input_stream(path, compression=None)
    if path.endswith(".gz"):
        return gzip.GzipFile(fileobj=raw)  # type: ignore[return-value]
    if path.endswith(".bz2"):
        return bz2.BZ2File(raw)
    return pa.CompressedInputStream(raw, "zstd") if path.endswith((".zst", ".zstd")) else raw


class _CheckedStream:
    """Stream that converts decompression errors to reason codes."""

    def __init__(self, open_bytes: Open):
        self.stream = self._checked(open_bytes)

    def read(self, size: int) -> bytes:
        data: bytes = self._checked(lambda: self.stream.read(size))
        return data

    @staticmethod
    def _checked(work: Callable[[], Any]) -> Any:
        try:
            return work()
        except EOFError:
            raise DamagedFileError(TRUNCATED) from None
        # NotImplementedError: unknown compression method; RuntimeError: encrypted archive member.
        except (gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError):
            raise DamagedFileError(DAMAGED) from None
        except OSError as error:
            code = TRUNCATED if "truncated" in str(error).lower() else DAMAGED
            raise DamagedFileError(code) from None

    def __enter__(self) -> "_CheckedStream":
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()


def _limited(content: Iterable[bytes], limit: int) -> Iterator[bytes]:
    total = 0
    for chunk in content:
        total += len(chunk)
        if total > limit:
            raise DamagedFileError(TOO_LARGE)
        yield chunk


class _Scan:
    """What one pass over a text shows."""

    def __init__(self, how: Files):
        self.how = how
        self.head, self.has_text, self.has_quotes = "", False, False
        self.ends: set[str] = set()
        self.repeats_header = False
        self._header, self._last = "", ""
        self._has_return = False
        self.escaper = SurrogateEscaper()

    def feed(self, text: str) -> None:
        quote = self.how.options.quote_character
        self.has_text = self.has_text or bool(text)
        if len(self.head) < _HEADER_CHARACTERS:
            self.head += text[:_HEADER_CHARACTERS]
        if self.how.format == "csv":
            self.has_quotes = self.has_quotes or (bool(quote) and quote in text)
            self._collect_line_ends(text)
            self._find_header_again(text)
        elif not self.how.is_table:
            self.escaper.feed(text)

    def _find_header_again(self, text: str) -> None:
        """Whether a later line begins like the first one; it is compared as a whole when the file is copied."""
        if not self._header and not self.repeats_header:
            first = self.head.lstrip().partition("\n")[0].rstrip("\r")
            is_whole = "\n" in self.head.lstrip()
            self._header = f"\n{first}" if is_whole and self.how.options.delimiter in first else ""
        if self._header and not self.repeats_header:
            self.repeats_header = self._header in self._last + text
            self._last = text[-len(self._header) :]

    def _collect_line_ends(self, text: str) -> None:
        text = "\r" * self._has_return + text  # a line end may span two chunks
        self._has_return = text.endswith("\r")
        text = text.removesuffix("\r")
        num_pairs = text.count("\r\n")
        for end, number in (
            ("\r\n", num_pairs),
            ("\n", text.count("\n") - num_pairs),
            ("\r", text.count("\r") - num_pairs),
        ):
            if number:
                self.ends.add(end)

    def end(self) -> None:
        if not self.how.is_table:
            self.escaper.feed("", is_last=True)
        elif self._has_return:
            self.ends.add("\r")


def _check_text(open_bytes: Open, how: Files, sound: FileReport, *, limit: int) -> FileReport:
    """Decompress and decode a text file, and check its structure."""
    if how.format == "excel":
        return _check_table(open_bytes, how, sound)
    options, scan = how.options, _Scan(how)
    decoded = Decoded(_limited(chunks(_CheckedStream(open_bytes)), limit), options, open_bytes)
    for text in decoded:
        scan.feed(text)
    scan.end()
    if not scan.has_text or not scan.head.strip():
        raise DamagedFileError(EMPTY)
    is_json = not how.is_table
    must_copy = decoded.num_replaced > 0 or not is_read_by_spark(options.encoding, is_json=is_json)
    report = replace(sound, num_replaced=decoded.num_replaced)

    def open_text() -> IO[str]:
        return as_text(open_bytes, options)

    if is_json:
        keys = KeyCollector(how.records)
        with open_text() as lines:
            if how.format == "json":
                keys.add_document(lines.read())
            else:
                keys.add_lines(lines)
        must_copy = must_copy or how.records is not None or keys.needs_copy or scan.escaper.has_found
        return replace(report, keys=tuple(keys.keys), needs_copy=must_copy)
    if is_rewritten(how) or scan.repeats_header or SEPARATOR_HINT.match(scan.head.split("\n")[0]):
        return _check_table(open_bytes, how, report, has_quotes=scan.has_quotes)
    csv = check_csv(open_text, scan.head, options, has_quotes=scan.has_quotes, num_ends=len(scan.ends))
    return replace(report, columns=csv.columns, needs_copy=must_copy or csv.needs_copy, is_unquoted=csv.is_unquoted)


def _check_table(open_bytes: Open, how: Files, sound: FileReport, *, has_quotes: bool = False) -> FileReport:
    """Check the structure of a table that Spark reads from a copy without the lines around it."""
    head = ""
    with table_lines(open_bytes, how) as lines:
        for line in lines:
            head += line
            if len(head) >= _HEADER_CHARACTERS:
                break
    if not head.strip():
        raise DamagedFileError(EMPTY)
    csv = check_csv(lambda: table_lines(open_bytes, how), head, copy_options(how), has_quotes=has_quotes, num_ends=1)
    return replace(sound, columns=csv.columns, needs_copy=True, is_unquoted=csv.is_unquoted)


def rows_at_once(metadata: pq.FileMetaData) -> int:
    """Batch size in rows, limited by the average row size."""
    num_bytes = sum(metadata.row_group(i).total_byte_size for i in range(metadata.num_row_groups))
    return min(max(metadata.num_rows * _BATCH_BYTES // max(num_bytes, 1), 1), _BATCH_ROWS)


def _check_texts(batch: pa.RecordBatch, first_row: int) -> None:
    """Check that string columns are valid UTF-8; neither Arrow nor Spark checks this when reading."""
    for number, column in enumerate(batch.columns, 1):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            position = f"column {number}, rows {first_row} to {first_row + batch.num_rows - 1}"
            raise DamagedFileError(WRONG_ENCODING, position, HINTS[DAMAGED]) from None


def _check_parquet(system: fs.FileSystem, path: str, sound: FileReport) -> FileReport:
    """Decode every page and verify page checksums if present; find columns that Spark cannot read."""
    try:
        with system.open_input_file(path) as raw:
            file = pq.ParquetFile(raw, buffer_size=CHUNK_BYTES, page_checksum_verification=True)
            names = list(file.schema_arrow.names)
            candidates = {number for number, field in enumerate(file.schema_arrow) if is_binary(field.type)}
            text_columns, num_rows = set(candidates), 0
            for batch in file.iter_batches(batch_size=rows_at_once(file.metadata)):
                _check_texts(batch, num_rows)
                text_columns = {number for number in text_columns if is_text(batch.column(number))}
                num_rows += batch.num_rows
            must_copy = needs_copy(file)
    except (pa.ArrowException, OSError, EOFError):
        raise DamagedFileError(DAMAGED) from None
    if num_rows != file.metadata.num_rows:
        raise DamagedFileError(DAMAGED, f"row {num_rows}")
    columns = _parquet_names(names)
    binary = tuple(columns[number] for number in sorted(candidates - text_columns))
    return replace(sound, columns=columns, binary_columns=binary, needs_copy=must_copy)


def _parquet_names(names: list[str]) -> tuple[str, ...]:
    columns = tuple(encoded(name, position) for position, name in enumerate(names))
    if not columns:
        raise DamagedFileError(EMPTY)
    if len({column.lower() for column in columns}) < len(columns):
        raise DamagedFileError(DUPLICATE_COLUMN)
    return columns
