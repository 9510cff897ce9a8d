"""Where the words of a text stand, in any script. Plain Python."""

import re
import sys
import unicodedata
from typing import NamedTuple

_MARKS = "".join(chr(c) for c in range(0x300, 0x3000) if unicodedata.category(chr(c)).startswith("M"))
"""Accents and vowel signs: parts of a word that Python's `\\w` does not know as such."""
_IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Scripts without blanks between words: each sign counts as a word."""
_LETTER = rf"(?:(?![{_IDEOGRAPHS}])[\w{_MARKS}])"
_WORD = re.compile(
    rf"\[[a-z]+\]"  # what was taken out: [name], [email]
    rf"|[{_IDEOGRAPHS}]"
    rf"|{_LETTER}+(?:['’]{_LETTER}+)*"
    rf"|[^\w\s{_MARKS}]+"  # punctuation, an emoji with all its parts
)


class Span(NamedTuple):
    """A word's place: characters from `start` to before `end`."""

    start: int
    end: int


def word_spans(text: str) -> list[Span]:
    """The words of a text, punctuation included, in their order; they do not overlap."""
    return [Span(*found.span()) for found in _WORD.finditer(text)]


def folded(word: str) -> str:
    """A word by which its spellings are counted together; empty where it has no letter."""
    return sys.intern(word.casefold()) if any(map(str.isalpha, word)) and not word.startswith("[") else ""
