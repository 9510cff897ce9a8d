r"""JSON can escape half of a character: `\ud83d` alone, where a text was cut. No encoding holds it; Spark would read `?`.

So the escape is taken as what was written: its backslash is escaped in turn, and the cell holds the six characters `\ud83d`.
"""

import re

_LONGEST = len(r"\ud83d\ude00")
_ESCAPE = re.compile(
    r"""\\[^u]                                                  # of a backslash, too: what follows it is plain text
      | \\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}                     # a whole character
      | \\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}  # both halves of one
      | (?P<half>\\u[dD][89a-fA-F][0-9a-fA-F]{2})""",
    re.VERBOSE | re.DOTALL,
)


class SurrogateEscaper:
    """Reads a JSON text piece by piece, and gives it back without lone halves.

    Attributes:
        has_found: whether there was one.
    """

    def __init__(self) -> None:
        self.has_found = False
        self._rest = ""

    def feed(self, text: str, *, is_last: bool = False) -> str:
        """What can be told of the text so far; a piece may end within an escape."""
        text = self._rest + text
        told, end = [], len(text) if is_last else max(len(text) - _LONGEST, 0)
        begin = 0
        for escape in _ESCAPE.finditer(text):
            if escape.start() >= end:
                break
            if escape["half"]:
                self.has_found = True
                told += [text[begin : escape.start()], "\\", escape["half"]]
                begin = escape.end()
            end = max(end, escape.end())
        self._rest = text[end:]
        return "".join([*told, text[begin:end]])
