r"""Keep unpaired surrogates in JSON (`\ud83d` alone, where a text was truncated) as literal escapes.

No encoding can represent a lone surrogate, and Spark would read it as `?`. The backslash is escaped instead, so that the
cell contains the six characters `\ud83d`.
"""

import re

_LONGEST = len(r"\ud83d\ude00")
_ESCAPE = re.compile(
    r"""\\[^u]                                                  # other escapes, including an escaped backslash
      | \\u(?![dD][89a-fA-F])[0-9a-fA-F]{4}                     # a character of the basic plane
      | \\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}  # a surrogate pair
      | (?P<lone>\\u[dD][89a-fA-F][0-9a-fA-F]{2})""",
    re.VERBOSE | re.DOTALL,
)


class SurrogateEscaper:
    """Escapes lone surrogates in JSON text that is passed in chunks.

    Attributes:
        has_found: whether a lone surrogate was found.
    """

    def __init__(self) -> None:
        self.has_found = False
        self._rest = ""

    def feed(self, text: str, *, is_last: bool = False) -> str:
        """Return the escaped text processed so far; an escape may span two chunks."""
        text = self._rest + text
        parts, end = [], len(text) if is_last else max(len(text) - _LONGEST, 0)
        begin = 0
        for escape in _ESCAPE.finditer(text):
            if escape.start() >= end:
                break
            if escape["lone"]:
                self.has_found = True
                parts += [text[begin : escape.start()], "\\", escape["lone"]]
                begin = escape.end()
            end = max(end, escape.end())
        self._rest = text[end:]
        return "".join([*parts, text[begin:end]])
