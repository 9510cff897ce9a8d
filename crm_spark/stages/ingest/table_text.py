"""The lines of a table in a CSV, fixed-width or Excel file, as CSV: header first, without the lines around the table."""

import csv
import datetime as dt
import io
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

from python_calamine import CalamineWorkbook

from crm_spark.sources.files import FileOptions, Files
from crm_spark.stages.ingest.csv_rows import csv_rows
from crm_spark.stages.ingest.file_reasons import NO_HEADER, NO_SHEET, DamagedFileError
from crm_spark.stages.ingest.line_ends import QuoteTracker, body_and_end
from crm_spark.stages.ingest.text_decoding import Open, as_text

OpenLines = Callable[[], Any]
"""Opens the lines of a text as a context manager."""
SEPARATOR_HINT = re.compile(r'^\ufeff?"?sep=.{1,4}?"?[\r\n]*$', re.IGNORECASE)
"""First line by which Excel is told the delimiter."""


def is_rewritten(how: Files) -> bool:
    """Whether every file of the source is read from a copy of its table."""
    return how.format in ("excel", "fixed_width") or how.table.has_other_lines


def copy_options(how: Files) -> FileOptions:
    """Options by which the copy of a table is read."""
    return how.options.model_copy(update={"encoding": "utf-8"}) if how.format == "csv" else FileOptions()


@contextmanager
def table_lines(open_bytes: Open, how: Files, *, is_unquoted: bool = False) -> Iterator[Iterable[str]]:
    """The physical lines of the table in a file, as CSV with `copy_options`.

    Args:
        open_bytes: opens the file.
        how: format and place of the table.
        is_unquoted: whether quotes are ordinary characters.

    Raises:
        DamagedFileError: the workbook has no such sheet, or no line is the header.
    """
    options = how.options if how.format == "csv" else FileOptions()
    quote = "" if is_unquoted else options.quote_character
    tracker = QuoteTracker(delimiter=options.delimiter, quote=quote, escape=options.escape)
    if how.format == "excel":
        with open_bytes() as stream:
            lines: Iterable[str] = sheet_lines(stream.read(), how.table.sheet)
        yield _table(lines, how, options, tracker)
        return
    with as_text(open_bytes, how.options) as text:
        lines = text if how.format == "csv" else _cut_lines(_without_comments(text, how), how.table.widths)
        yield _table(lines, how, options, tracker)


def _table(lines: Iterable[str], how: Files, options: FileOptions, tracker: QuoteTracker) -> Iterator[str]:
    """Lines of the table; each record of several lines is one item."""
    records = _records(lines, tracker, how.table.comment if how.format == "csv" else None)
    first = next(records, None)
    if first is None:
        return
    if not SEPARATOR_HINT.match(first):
        records = chain([first], records)
    for _ in range(how.table.skip_lines):
        next(records, None)
    header = _header(records, how, options)
    if header is None:
        return
    yield header
    yield from _without_footer(_without_repeats(records, header), how.table.footer_lines)


def _records(lines: Iterable[str], tracker: QuoteTracker, comment: str | None) -> Iterator[str]:
    """Lines, joined while a quoted cell is open; without comments."""
    parts: list[str] = []
    for line in lines:
        if not parts and comment is not None and line.startswith(comment):
            continue
        parts.append(line)
        if not tracker.feed(line):
            yield "".join(parts)
            parts = []
    if parts:
        yield "".join(parts)


def _header(records: Iterator[str], how: Files, options: FileOptions) -> str | None:
    """The header as a line of the file, or made of the names that the configuration gives."""
    if how.table.widths:
        return _line(list(how.table.widths))
    if how.table.header is not None:
        return _line(how.table.header, options)
    wanted = set(how.table.header_contains)
    for record in records:
        if not record.strip():
            continue
        if not wanted:
            return record
        cells = next((row for row in csv_rows([record], options) if row), [])
        if wanted <= {cell.strip().lstrip("\ufeff") for cell in cells}:
            return record
    if wanted:
        raise DamagedFileError(
            NO_HEADER, hint=f"No line has {', '.join(sorted(wanted))}: correct table.header_contains."
        )
    return None


def _without_repeats(records: Iterator[str], header: str) -> Iterator[str]:
    """Records without those that repeat the header, as in files that were appended to each other."""
    text = body_and_end(header)[0].lstrip("\ufeff")
    for record in records:
        if body_and_end(record)[0].lstrip("\ufeff") != text:
            yield record


def _without_footer(records: Iterator[str], num_lines: int) -> Iterator[str]:
    if not num_lines:
        yield from records
        return
    held: deque[str] = deque()
    num_held = 0  # empty lines are held as well, but not counted
    for record in records:
        held.append(record)
        num_held += bool(record.strip())
        while num_held > num_lines:
            out = held.popleft()
            num_held -= bool(out.strip())
            yield out


def _without_comments(text: Iterable[str], how: Files) -> Iterator[str]:
    comment = how.table.comment
    return (line for line in text if comment is None or not line.startswith(comment))


def _cut_lines(text: Iterable[str], widths: dict[str, int]) -> Iterator[str]:
    """Lines of a fixed-width file as CSV."""
    for line in text:
        body, at, cells = body_and_end(line)[0], 0, []
        if not body.strip():
            yield "\n"
            continue
        for width in widths.values():
            cells.append(body[at : at + width].strip())
            at += width
        yield _line(cells)


def sheet_names(content: bytes) -> list[str]:
    """Names of the sheets of a workbook."""
    names: list[str] = CalamineWorkbook.from_filelike(io.BytesIO(content)).sheet_names
    return names


def sheet_lines(content: bytes, sheet: str | int | None) -> Iterator[str]:
    """Rows of a sheet of a workbook as CSV.

    Raises:
        DamagedFileError: there is no such sheet.
    """
    workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
    names = workbook.sheet_names
    if isinstance(sheet, str):
        name = sheet if sheet in names else None
    else:
        name = names[(sheet or 1) - 1] if 0 < (sheet or 1) <= len(names) else None
    if name is None:
        raise DamagedFileError(NO_SHEET, hint=f"The workbook has the sheets {', '.join(names)}: set files.table.sheet.")
    for row in workbook.get_sheet_by_name(name).to_python(skip_empty_area=True):
        cells = [_text(value) for value in row]
        yield _line(cells) if any(cells) else "\n"


def _text(value: Any) -> str:
    """A cell as text: numbers without a superfluous `.0`, dates and times in ISO format."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, dt.datetime):
        return value.isoformat(sep=" ")
    if isinstance(value, (dt.date, dt.time)):
        return value.isoformat()
    return "" if value is None else str(value)


def _line(cells: list[str], options: FileOptions | None = None) -> str:
    out = io.StringIO()
    delimiter = "," if options is None else options.delimiter
    quote = '"' if options is None else options.quote_character
    if len(delimiter) > 1 or not quote:
        return delimiter.join(cells) + "\n"
    csv.writer(out, delimiter=delimiter, quotechar=quote, lineterminator="\n").writerow(cells)
    return out.getvalue()
