"""Structure of a CSV file: header, quoting, line ends."""

import csv
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain

from crm_spark.contracts.bronze_columns import encoded
from crm_spark.sources.files import FileOptions
from crm_spark.stages.ingest.csv_rows import csv_rows
from crm_spark.stages.ingest.file_reasons import DUPLICATE_COLUMN, EMPTY, UNTERMINATED, DamagedFileError
from crm_spark.stages.ingest.line_ends import QuoteTracker, is_uniform

OpenText = Callable[[], AbstractContextManager[Iterable[str]]]
"""Opens the lines of a table."""
_SENTINEL = "\x1eend\x1e"


@dataclass(frozen=True)
class CsvReport:
    """Columns as encoded in bronze, whether Spark needs a copy, and whether quotes are ordinary characters."""

    columns: tuple[str, ...]
    needs_copy: bool
    is_unquoted: bool


def check_csv(open_text: OpenText, head: str, options: FileOptions, *, has_quotes: bool, num_ends: int) -> CsvReport:
    """Check header and quotes.

    Args:
        open_text: opens the file.
        head: beginning of the text.
        options: options of the source.
        has_quotes: whether the text contains the quote character.
        num_ends: number of different line ends in the text.

    Raises:
        DamagedFileError: there are no columns, two of one name, or a quote that is never closed.
    """
    is_unquoted = has_quotes and options.is_quoting_detected and _is_unquoted(open_text, options)
    columns = _header(head, options, is_unquoted=is_unquoted)
    if options.multi_line and has_quotes and not is_unquoted:
        _require_closed_quotes(open_text, options)
    needs_copy = False
    if options.multi_line and num_ends > 1:
        with open_text() as text:
            needs_copy = not is_uniform(text, quote_tracker(options, is_unquoted=is_unquoted))
    return CsvReport(columns, needs_copy, is_unquoted)


def quote_tracker(options: FileOptions, *, is_unquoted: bool) -> QuoteTracker:
    """Quote tracker for these options."""
    quote = "" if is_unquoted else options.quote_character
    return QuoteTracker(delimiter=options.delimiter, quote=quote, escape=options.escape)


def _header(head: str, options: FileOptions, *, is_unquoted: bool) -> tuple[str, ...]:
    names = next((row for row in csv_rows([head], options, is_unquoted=is_unquoted) if row), [])
    columns = tuple(encoded(name, position) for position, name in enumerate(names))
    if not columns:
        raise DamagedFileError(EMPTY)
    places: dict[str, int] = {}
    for number, column in enumerate(columns, 1):
        if column.lower() in places:
            raise DamagedFileError(DUPLICATE_COLUMN, f"columns {places[column.lower()]} and {number}")
        places[column.lower()] = number
    return columns


def _require_closed_quotes(open_text: OpenText, options: FileOptions) -> None:
    """A sentinel line appended to the file must be parsed as its own row."""
    start, line = 1, 1
    last: deque[list[str]] = deque(maxlen=1)
    with open_text() as text:
        reader = csv_rows(chain(text, ["\n", _SENTINEL]), options)
        for row in reader:
            start, line = line, reader.line_num + 1  # type: ignore[attr-defined]
            last.append(row)
    if list(last) != [[_SENTINEL]]:
        raise DamagedFileError(UNTERMINATED, f"record that begins in line {start}")


def _is_unquoted(open_text: OpenText, options: FileOptions) -> bool:
    """Whether the quotes of a file are ordinary characters.

    They are if every line is complete without quoting, and quoting would merge lines in a way that no writer of quotes
    produces: text follows a closing quote. In a tab-separated file, where quoting is rare, one of the two is enough.
    """
    is_tab = options.delimiter == "\t"
    num_lines = _num_complete_lines(open_text, options)
    if num_lines is None and not is_tab:
        return False
    try:
        num_rows = _num_rows(open_text, options, is_strict=True)
    except csv.Error as error:
        is_never_closed = "unexpected end" in str(error)
        return is_tab or (not is_never_closed and _num_rows(open_text, options, is_strict=False) != num_lines)
    return is_tab and num_lines is not None and num_rows != num_lines


def _num_complete_lines(open_text: OpenText, options: FileOptions) -> int | None:
    """Number of lines if all have as many cells as the first without quoting; otherwise None."""
    num_lines, num_cells = 0, 0
    with open_text() as text:
        for row in csv_rows(text, options, is_unquoted=True):
            num_cells = num_cells or len(row)
            if row and len(row) != num_cells:
                return None
            num_lines += bool(row)
    return num_lines


def _num_rows(open_text: OpenText, options: FileOptions, *, is_strict: bool) -> int:
    with open_text() as text:
        return sum(1 for row in csv_rows(text, options, is_strict=is_strict) if row)
