"""Rows of CSV text."""

import csv
import io
import sys
from collections.abc import Iterable, Iterator

from crm_spark.sources.files import FileOptions


def csv_rows(
    texts: Iterable[str], options: FileOptions, *, is_unquoted: bool = False, is_strict: bool = False
) -> Iterator[list[str]]:
    """Parse CSV rows with Python's csv module; multi-character delimiters are replaced first."""
    csv.field_size_limit(sys.maxsize)
    lines = (line for text in texts for line in io.StringIO(text, newline=""))
    delimiter = options.delimiter
    if len(delimiter) > 1:
        lines, delimiter = (line.replace(options.delimiter, "\x1f") for line in lines), "\x1f"
    if is_unquoted or not options.quote_character:
        return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE)
    doubled = options.escape in ("", options.quote_character)
    return csv.reader(
        lines,
        delimiter=delimiter,
        quotechar=options.quote_character,
        doublequote=doubled,
        escapechar=None if doubled else options.escape,
        strict=is_strict,
    )
