"""Find the table among the lines of a file: its header, and what stands above it."""

import re
from collections import Counter
from collections.abc import Sequence

from crm_spark.sources.files import TableLayout

_COMMENTS = ("#", "//", "%", "--", "*")
_NUMBER = re.compile(r"[-+(]?[\d.,:/ %€$£-]+\)?")
_NEARLY_ALL = 0.8
_MOST_NAMES = 3
_LEAST_CELLS = 2


def table_in(rows: Sequence[Sequence[str]]) -> TableLayout:
    """How the header of a table is found.

    Args:
        rows: cells of the first lines; blank lines may be empty or have empty cells.

    Returns:
        Settings; the default ones if the first line with content is the header, or no line looks like one.
    """
    filled = [cells for row in rows if any(cells := [cell.strip() for cell in row])]
    at = _header_at(filled)
    if not at:
        return TableLayout()
    above, header = filled[:at], filled[at]
    sign = next((sign for sign in _COMMENTS if all(row[0].startswith(sign) for row in above)), None)
    if sign is not None:
        return TableLayout(comment=sign)
    elsewhere = {cell for row in above for cell in row}
    names = [name for name in header if name and name not in elsewhere]
    return TableLayout(header_contains=names[:_MOST_NAMES])


def delimiter_in(lines: Sequence[str], delimiters: str) -> str:
    """The delimiter that most lines contain equally often; of several the one that occurs most."""
    filled = [line for line in lines if line.strip()]

    def agreement(sign: str) -> tuple[int, int]:
        counts = Counter(line.count(sign) for line in filled if sign in line)
        most = counts.most_common(1)
        return (most[0][1], most[0][0]) if most else (0, 0)

    return max(delimiters, key=agreement)


def _header_at(rows: list[list[str]]) -> int | None:
    """Position of the first row that has as many cells as the table, all of them different names."""
    widths = Counter(_width(row) for row in rows if _width(row) >= _LEAST_CELLS)
    if not widths:
        return None
    (usual, _), *_ = widths.most_common(1)
    for at, row in enumerate(rows[: len(rows) - 1]):
        cells = [cell for cell in row if cell]
        is_wide = len(cells) >= max(_LEAST_CELLS, _NEARLY_ALL * usual)
        if is_wide and len({*cells}) == len(cells) and not any(_NUMBER.fullmatch(cell) for cell in cells):
            return at
    return None


def _width(row: Sequence[str]) -> int:
    return max((number for number, cell in enumerate(row, 1) if cell), default=0)
