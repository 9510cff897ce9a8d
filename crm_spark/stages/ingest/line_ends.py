"""Line ends of a CSV file that differ from line to line.

Spark's CSV parser takes the first line end for that of the whole file. With others, a carriage return stays in the last cell,
or the file becomes one record.
"""

import re
from collections.abc import Iterable, Iterator


class QuoteTracker:
    """Tracks whether the end of a physical line is within a quoted cell."""

    def __init__(self, *, delimiter: str, quote: str, escape: str):
        self._delimiter, self._quote = delimiter, quote
        q = re.escape(quote)
        inner = (
            rf"(?:[^{q}]|{q}{q})*" if escape in ("", quote) else rf"(?:[^{q}{re.escape(escape)}]|{re.escape(escape)}.)*"
        )
        self._rest = re.compile(rf"{inner}{q}(?!{q})" if escape in ("", quote) else rf"{inner}{q}", re.DOTALL)
        self.is_inside = False

    def feed(self, line: str) -> bool:
        """Whether the end of this line is within a quoted cell."""
        if not self._quote or (self._quote not in line):
            return self.is_inside
        at, is_inside = 0, self.is_inside
        while at <= len(line):
            if is_inside or line.startswith(self._quote, at):
                end = self._rest.match(line, at if is_inside else at + len(self._quote))
                if end is None:
                    self.is_inside = True
                    return True
                at, is_inside = end.end(), False
            following = line.find(self._delimiter, at)
            if following < 0:
                break
            at = following + len(self._delimiter)
        self.is_inside = False
        return False


def body_and_end(line: str) -> tuple[str, str]:
    """Split a physical line from its line end."""
    for end in ("\r\n", "\n", "\r"):
        if line.endswith(end):
            return line[: -len(end)], end
    return line, ""


def is_uniform(lines: Iterable[str], tracker: QuoteTracker) -> bool:
    """Whether all records end like the first physical line."""
    first = ""
    for line in lines:
        end = body_and_end(line)[1]
        first = first or end
        if not tracker.feed(line) and end not in ("", first):
            return False
    return True


def normalised_lines(lines: Iterable[str], tracker: QuoteTracker) -> Iterator[str]:
    """Lines that end with a line feed; line ends within quoted cells are kept."""
    for line in lines:
        if tracker.feed(line):
            yield line
            continue
        body, end = body_and_end(line)
        yield body + "\n" if end else body
