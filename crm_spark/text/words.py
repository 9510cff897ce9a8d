"""Word boundaries of a text in any script. Plain Python."""

import re
import sys
import unicodedata
from typing import NamedTuple

_MARKS = "".join(chr(c) for c in range(0x300, 0x3000) if unicodedata.category(chr(c)).startswith("M"))
"""Accents and vowel signs: parts of words that Python's `\\w` does not match."""
IDEOGRAPHS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
"""Han and kana, scripts without spaces between words, as a range of a character class: each character counts as a word."""
_LETTER = rf"(?:(?![{IDEOGRAPHS}])[\w{_MARKS}])"
_WORD = re.compile(
    rf"\[[a-z]+\]"  # redacted values: [name], [email]
    rf"|[{IDEOGRAPHS}]"
    rf"|{_LETTER}+(?:['’]{_LETTER}+)*"
    rf"|[^\w\s{_MARKS}]+"  # punctuation; an emoji with all its parts
)

_IDEOGRAPHIC = re.compile(rf"[{IDEOGRAPHS}]+")


class Span(NamedTuple):
    """Character span of a word; `end` is exclusive."""

    start: int
    end: int


def word_spans(text: str) -> list[Span]:
    """Return the words and punctuation marks of a text in order, without overlaps."""
    return [Span(*match.span()) for match in _WORD.finditer(text)]


def joined(text: str, spans: list[Span], tokens: list[Span]) -> list[Span]:
    """Join neighbouring ideographs that are one token: multilingual tokenizers know the frequent words of such scripts.

    Args:
        text: a text.
        spans: its words, from `word_spans`.
        tokens: character spans of its tokens.
    """
    ends = {start: end for start, end in tokens if end - start > 1 and _IDEOGRAPHIC.fullmatch(text, start, end)}
    result: list[Span] = []
    for span in spans:
        if not result or span.start >= result[-1].end:
            result.append(Span(span.start, ends.get(span.start, span.end)))
    return result


def normalised(word: str) -> str:
    """Return the case-folded word; empty for redacted values and tokens without letters."""
    return sys.intern(word.casefold()) if any(map(str.isalpha, word)) and not word.startswith("[") else ""
