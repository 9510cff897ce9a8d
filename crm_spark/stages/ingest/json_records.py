"""JSON records: their keys, and their cells as literal text.

Spark cannot read keys that differ only in case or occur twice, drops what follows the first object of a line, and infers
columns in a pass of its own. Keys are therefore collected during validation.
"""

import json
import re
from collections.abc import Iterable, Iterator
from json.decoder import scanstring  # type: ignore[attr-defined]
from typing import Any

from crm_spark.contracts.bronze_columns import encoded
from crm_spark.stages.ingest.file_reasons import DAMAGED, NOT_RECORDS, DamagedFileError
from crm_spark.stages.ingest.surrogates import SurrogateEscaper

UNPARSED = "\x01unparsed"
"""Key of a copied record that holds the raw text of a line that is not a JSON object."""
_SPACE = re.compile(r"[ \t\n\r]*")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_NOT_JSON = (ValueError, RecursionError)


class KeyCollector:
    """Collects the keys of records.

    Args:
        path: path to the records in a document or line; None: it is the record, or the list of them.

    Attributes:
        keys: keys in order of appearance.
        needs_copy: whether Spark cannot read the records as written.
    """

    def __init__(self, path: str | None = None) -> None:
        self._path = path
        self.keys: dict[str, None] = {}
        self.needs_copy = False
        # Numbers stay text: Python refuses integers of more than 4,300 digits.
        self._decoder = json.JSONDecoder(object_pairs_hook=self._object, parse_int=str, parse_float=str)

    def _object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        value = dict(pairs)
        self.needs_copy |= len(value) < len(pairs)
        return value

    def add_lines(self, lines: Iterable[str]) -> None:
        """Collect from JSON lines; a line that is not JSON becomes a malformed record later.

        Raises:
            DamagedFileError: no line has records at the path.
        """
        num_values = num_found = 0
        for line in lines:
            text = line.strip(" \t\r\n")
            if not text:
                continue
            try:
                value = self._decoder.decode(text)
            except _NOT_JSON:
                # Spark would read the first object of the line and drop the rest.
                self.needs_copy |= "{" in text
                continue
            value = _at(value, self._path)
            num_values, num_found = num_values + 1, num_found + (value is not None)
            self._add(value if isinstance(value, list) else [] if value is None else [value])
        if self._path is not None and num_values and not num_found:
            hint = f"Correct files.records: no line has a list of records at {self._path}."
            raise DamagedFileError(NOT_RECORDS, hint=hint)
        self._check_names()

    def add_document(self, text: str) -> None:
        """Collect from one document.

        Raises:
            DamagedFileError: the text is not JSON, or contains something other than objects.
        """
        try:
            value = self._decoder.decode(text.strip(" \t\r\n"))
        except json.JSONDecodeError as error:
            raise DamagedFileError(DAMAGED, f"line {error.lineno}, column {error.colno}", _hint(text)) from None
        except RecursionError:
            raise DamagedFileError(DAMAGED, hint="The document is nested too deeply. Deliver flat records.") from None
        if self._path is not None and (value := _at(value, self._path)) is None:
            hint = f"Correct files.records: the document has no list of records at {self._path}."
            raise DamagedFileError(NOT_RECORDS, hint=hint)
        records = value if isinstance(value, list) else [value]
        for number, record in enumerate(records, 1):
            if not isinstance(record, dict):
                raise DamagedFileError(NOT_RECORDS, f"element {number}" if isinstance(value, list) else "")
        self._add(records)
        self._check_names()

    def _add(self, records: list[Any]) -> None:
        if all(isinstance(record, dict) for record in records):
            for record in records:
                if not self.keys.keys() >= record.keys():
                    self.keys |= dict.fromkeys(map(_storable, record))

    def _check_names(self) -> None:
        names = {key.lower() for key in self.keys}
        self.needs_copy |= len(names) < len(self.keys) or "" in names


def _at(value: Any, path: str | None) -> Any:
    """The value at a path; None if there is none."""
    for key in path.split(".") if path else ():
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _hint(text: str) -> str | None:
    """Hint for a document that is not JSON: it may be JSON lines."""
    first, _, rest = text.strip().partition("\n")
    try:
        is_lines = isinstance(json.loads(first), dict) and bool(rest)
    except _NOT_JSON:
        return None
    return "The file has one object per line: set files.format: jsonl." if is_lines else None


def _storable(key: str) -> str:
    """Key with unpaired surrogates as literal escapes, as in cells."""
    return _LONE_SURROGATE.sub(lambda match: f"\\u{ord(match.group()):04x}", key)


def storage_names(keys: Iterable[str], preferred: frozenset[str]) -> dict[str, str]:
    """Bronze column of each key. Of keys that differ only in case, one keeps its name: a preferred one, else the first.

    The others are percent-encoded from their first letter on until they are unique.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for key in sorted(keys, key=lambda key: key not in preferred):
        name, size = encoded(key, 0), 0
        while name.lower() in taken:
            size += 1
            start = "".join(f"%{byte:02X}" for byte in key[:size].encode())
            rest = encoded(key[size:], 0) if key[size:] else ""
            name = start + rest if key else f"{name}_"
        taken.add(name.lower())
        names[key] = name
    return names


def copied_lines(
    text: Iterable[str], names: dict[str, str], *, is_document: bool, path: str | None = None
) -> Iterator[str]:
    """JSON lines with one object per record: bronze column -> literal text of the value.

    Args:
        text: lines, or one document.
        names: bronze column of each key.
        is_document: whether the text is one document.
        path: path to the records in the document, or in each line.
    """
    texts = ["".join(text)] if is_document else text
    for raw in texts:
        escaper = SurrogateEscaper()
        line = escaper.feed(raw, is_last=True).strip(" \t\r\n")
        if not line:
            continue
        try:
            records = [
                {names[_storable(key)]: value for key, value in cells} for cells in _records(_text_at(line, path))
            ]
        except _NOT_JSON:
            records = [{UNPARSED: line}]
        for record in records:
            yield json.dumps(record, ensure_ascii=False) + "\n"


def _text_at(text: str, path: str | None) -> str:
    """The text of the value at a path; an empty list if there is none."""
    for key in path.split(".") if path else ():
        cells = dict(_records(text)[0]) if text.startswith("{") else {}
        text = (cells.get(key) or "[]").strip()
    return text


def _records(text: str) -> list[list[tuple[str, str | None]]]:
    """Cells of the object, or of each object of the array, that the text consists of."""
    if text.startswith("["):
        records, end = _elements(text)
    else:
        cells, end = _object_at(text, 0)
        records = [cells]
    if end != len(text):
        raise ValueError("extra data")
    return records


def _elements(text: str) -> tuple[list[list[tuple[str, str | None]]], int]:
    records: list[list[tuple[str, str | None]]] = []
    at = _after_space(text, 1)
    if text[at : at + 1] == "]":
        return records, at + 1
    while True:
        cells, at = _object_at(text, at)
        records.append(cells)
        at = _after_space(text, at)
        if text[at : at + 1] == "]":
            return records, at + 1
        at = _after_space(text, _after(text, at, ","))


def _object_at(text: str, at: int) -> tuple[list[tuple[str, str | None]], int]:
    at = _after_space(text, _after(text, at, "{"))
    cells: list[tuple[str, str | None]] = []
    if text[at : at + 1] == "}":
        return cells, at + 1
    while True:
        key, at = scanstring(text, _after(text, at, '"'))
        at = _after_space(text, _after(text, _after_space(text, at), ":"))
        value, at = _value_at(text, at)
        cells.append((key, value))
        at = _after_space(text, at)
        if text[at : at + 1] == "}":
            return cells, at + 1
        at = _after_space(text, _after(text, at, ","))


_VALUES = json.JSONDecoder(parse_int=str, parse_float=str)


def _value_at(text: str, at: int) -> tuple[str | None, int]:
    if text[at : at + 1] == '"':
        value, end = scanstring(text, at + 1)
        return value, end
    try:
        _, end = _VALUES.raw_decode(text, at)
    except StopIteration:
        raise ValueError("no value") from None
    return (None if text[at:end] == "null" else text[at:end]), end


def _after(text: str, at: int, sign: str) -> int:
    if text[at : at + 1] != sign:
        raise ValueError(f"expected {sign}")
    return at + 1


def _after_space(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    return match.end() if match else at
