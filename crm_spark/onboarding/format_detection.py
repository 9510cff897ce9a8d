"""Detect format, encoding and delimiter of a file from its extension and first bytes."""

import codecs
import csv
import io
import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from pyarrow import ArrowException, fs

from crm_spark.core.errors import InputError
from crm_spark.onboarding.table_detection import delimiter_in, table_in
from crm_spark.sources.files import FileOptions, Files
from crm_spark.stages.ingest.file_validation import opened
from crm_spark.stages.ingest.table_text import SEPARATOR_HINT, copy_options, sheet_lines, sheet_names, table_lines

_HEAD_BYTES = 1 << 20
_ENDINGS = {".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "json", ".parquet": "parquet"}
_PACKED = (".gz", ".bz2", ".zst", ".zstd")
_TABLES = (".csv", ".tsv", ".tab", ".psv")
_DELIMITERS = ",;\t|"
_WORKBOOKS = (".xlsx", ".xls", ".xlsm", ".xlsb", ".ods")
_NUM_LINES, _LEAST_LINES = 200, 2
_NEARLY_ALL = 0.8
_NEXT_KEY = re.compile(r'[\s,]*("(?:[^"\\]|\\.)*")\s*:\s*')
_RECORDS = re.compile(r"\[\s*\{")
_ARCHIVE = "unpack the archive and give one of its files; the drafted source also reads the archive"
_NO_TABLES = {
    **dict.fromkeys((".xml", ".html", ".htm"), "markup: export the data as CSV or JSON lines"),
    **dict.fromkeys((".pdf", ".doc", ".docx", ".png", ".jpg", ".jpeg", ".md", ".sql"), "not a table"),
    **dict.fromkeys((".zip",), _ARCHIVE),
    **dict.fromkeys(
        (".7z", ".rar", ".tar", ".tgz", ".avro", ".orc"), "unsupported format: expected CSV, JSON or Parquet"
    ),
}
_RAGGED = "not a table: the number of cells differs from the first line. Remove any lines above the column names"
_NO_RECORD = "no records after the header line"
_EMPTY = "empty"
_PROSE = "not a table: lines have one cell each. If it is a table, use the extension .csv"
_NO_RECORDS = "expected an array of objects, or one object per line"


def why_no_table(name: str) -> str | None:
    """Reason why a file extension is not supported; None if it is."""
    return _NO_TABLES.get(_suffix(name))


def sniffed(system: fs.FileSystem, path: str, glob: str) -> Files:
    """Detect format, encoding and delimiter.

    Raises:
        InputError: the file cannot be opened, or is an archive.
    """
    if PurePosixPath(path).suffix.lower() == ".zip":
        raise InputError(f"{path}: {_ARCHIVE}.")
    if _suffix(path) == ".parquet":
        return Files(path=glob, format="parquet")
    if _suffix(path) in _WORKBOOKS:
        return _sheet(system, path, glob)
    head = _head(system, path)
    encoding = _encoding(head)
    text = head.decode(encoding, "ignore").lstrip("\ufeff")
    if (format := _format(path, text)) != "csv":
        path_to_records, _ = list_start(text) if format == "json" else (None, 0)
        return Files.model_validate(
            {"path": glob, "format": format, "options": {"encoding": encoding}, "records": path_to_records}
        )
    delimiter = _delimiter(text)
    table = table_in(_rows(text, delimiter))
    return Files(path=glob, format="csv", options=FileOptions(delimiter=delimiter, encoding=encoding), table=table)


def head_of(system: fs.FileSystem, path: str, how: Files) -> tuple[tuple[str, ...], bool]:
    """Return the column names of a JSON file (empty for CSV), and whether the first bytes are ASCII.

    Raises:
        InputError: the first lines are not a table.
    """
    if how.is_table:
        head = b"" if how.format == "excel" else _head(system, path)
        try:
            with table_lines(lambda: _whole(system, path), how) as lines:
                text = "".join(islice(lines, _NUM_LINES + 1))
        except UnicodeError:  # validation names the position
            text = head.decode(how.options.encoding, "ignore").lstrip("\ufeff")
        _require_cells(text, copy_options(how), may_be_one=_suffix(path) in _TABLES)
        return (), head.isascii()
    head = _head(system, path)
    text = head.decode(how.options.encoding, "ignore").lstrip("\ufeff")
    return _keys(text, is_document=how.format == "json"), head.isascii()


def _sheet(system: fs.FileSystem, path: str, glob: str) -> Files:
    """The first sheet of a workbook with a table.

    Raises:
        InputError: the workbook cannot be read, or has no table.
    """
    with _whole(system, path) as stream:
        content = stream.read()
    try:
        names = sheet_names(content)
        for name in names:
            rows = list(islice(csv.reader(sheet_lines(content, name)), _NUM_LINES))
            if sum(sum(map(bool, row)) > 1 for row in rows) >= _LEAST_LINES:
                table = table_in(rows).model_copy(update={"sheet": name if len(names) > 1 else None})
                return Files(path=glob, format="excel", table=table)
    except Exception as error:  # of a library that reads damaged content
        raise InputError(f"Cannot read {path} as a workbook ({type(error).__name__}).") from None
    raise InputError("no sheet has a table")


def _whole(system: fs.FileSystem, path: str) -> Any:
    try:
        return opened(system, path)
    except OSError as error:
        raise InputError(f"Cannot open {path} ({type(error).__name__}).") from None


def _delimiter(text: str) -> str:
    """Delimiter of a CSV text: the one that its first line names, else by a sniffer, else by the lines that agree."""
    first, _, rest = text.partition("\n")
    if SEPARATOR_HINT.match(first):
        return first.strip().strip('"')[len("sep=") :] or "\t"
    try:
        found = csv.Sniffer().sniff(text[:20_000], _DELIMITERS).delimiter
    except csv.Error:
        found = ""
    return (
        found
        if found and found in first
        else delimiter_in([first, *rest.split("\n", _NUM_LINES)[:_NUM_LINES]], _DELIMITERS)
    )


def _rows(text: str, delimiter: str) -> list[list[str]]:
    """Cells of the first lines, without the one that names the delimiter."""
    csv.field_size_limit(sys.maxsize)
    first, _, rest = text.partition("\n")
    lines = io.StringIO(rest if SEPARATOR_HINT.match(first) else text, newline="")
    return list(islice(csv.reader(lines, delimiter=delimiter[:1]), _NUM_LINES))


def _suffix(path: str) -> str:
    name = PurePosixPath(path)
    while name.suffix.lower() in _PACKED:
        name = name.with_suffix("")
    return name.suffix.lower()


def _head(system: fs.FileSystem, path: str) -> bytes:
    try:
        with opened(system, path) as stream:
            return stream.read(_HEAD_BYTES)
    except (OSError, EOFError, ArrowException) as error:
        raise InputError(f"Cannot open {path} ({type(error).__name__}).") from None


def _encoding(head: bytes) -> str:
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    try:
        codecs.getincrementaldecoder("utf-8")("strict").decode(head)
    except UnicodeError:
        return "windows-1252"
    return "utf-8"


def _format(path: str, text: str) -> str:
    """Format from the extension; JSON lines are also detected in files with another extension."""
    format = _ENDINGS.get(_suffix(path), "csv")
    first, *others = [line for line in text.split("\n", 2) if line.strip()] or [""]
    if format == "jsonl" or not first.startswith("{"):
        return format
    return "jsonl" if _object(first) is not None and (others or format == "csv") else format


def _object(line: str) -> dict[str, Any] | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _keys(text: str, *, is_document: bool) -> tuple[str, ...]:
    """Column names of the first records, in order of appearance."""
    records = list(islice(_elements(text[list_start(text)[1] :]), _NUM_LINES)) if is_document else _lines(text)
    names = tuple(dict.fromkeys(name for record in records for name in record))
    if not names:
        raise InputError(_NO_RECORDS)
    return names


def list_start(text: str) -> tuple[str | None, int]:
    """Path to the first list of objects in a (possibly truncated) JSON document, and where it begins.

    No path: the document is the list, or has none.
    """
    start = len(text) - len(text.lstrip())
    if not text.startswith("{", start):
        return None, start
    found = _list_in(text, start)
    return found if found is not None else (None, start)


def _list_in(text: str, start: int) -> tuple[str, int] | None:
    decoder, at = json.JSONDecoder(), start + 1
    while match := _NEXT_KEY.match(text, at):
        try:
            key, _ = decoder.raw_decode(match[1])
        except ValueError:
            return None
        at = match.end()
        if _RECORDS.match(text, at):
            return key, at
        if text.startswith("{", at) and (inner := _list_in(text, at)) is not None:
            return f"{key}.{inner[0]}", inner[1]
        try:
            _, at = decoder.raw_decode(text, at)
        except ValueError:
            return None
    return None


def _lines(text: str) -> list[dict[str, Any]]:
    records = (_object(line) for line in text.split("\n", _NUM_LINES)[:_NUM_LINES])
    return [record for record in records if record is not None]


def _elements(text: str) -> Iterator[dict[str, Any]]:
    """Objects of a (possibly truncated) JSON array."""
    decoder, rest = json.JSONDecoder(), text.lstrip()
    if not rest.startswith("["):
        raise InputError(_NO_RECORDS)
    while rest := rest[1:].lstrip():
        try:
            record, end = decoder.raw_decode(rest)
        except ValueError:
            return
        if isinstance(record, dict):
            yield record
        rest = rest[end:].lstrip()


def _require_cells(text: str, options: FileOptions, *, may_be_one: bool) -> None:
    """Check that the text has records and that most have as many cells as the first line.

    `may_be_one`: a single column is allowed.

    Raises:
        InputError: the text is not a table.
    """
    csv.field_size_limit(sys.maxsize)
    lines = io.StringIO(text, newline="")
    rows = [row for row in islice(csv.reader(lines, delimiter=options.delimiter), _NUM_LINES) if row]
    if len(rows) < _LEAST_LINES:
        raise InputError(_NO_RECORD if rows else _EMPTY)
    if 2 * sum(len(row) == len(rows[0]) for row in rows[1:]) < len(rows) - 1:
        raise InputError(_RAGGED)
    if len(rows[0]) == 1 and not may_be_one:
        raise InputError(_PROSE)
    if len(rows[0]) == 1 and any(_is_split(rows[1:], sign) for sign in _DELIMITERS):
        raise InputError(_RAGGED)


def _is_split(rows: list[list[str]], sign: str) -> bool:
    """Whether nearly all lines contain the delimiter equally often."""
    counts = Counter(",".join(row).count(sign) for row in rows)
    ((most, number),) = counts.most_common(1)
    return most > 0 and number >= _NEARLY_ALL * len(rows)
