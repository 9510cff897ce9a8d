"""Normalise free text and detect its language. Plain Python, no Spark; the original text is kept."""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from crm_spark.core.errors import ConfigError

_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u2060\ufeff\u00ad"))
"""Zero-width space, word joiner, byte order mark, soft hyphen. Zero-width joiners stay: emoji and some scripts need them."""
_BLANKS = re.compile(r"[^\S\n]+")
_LINES = re.compile(r" ?(\n ?)+")
_LONE_SURROGATE = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
"""Literal escape of a lone surrogate, as kept in bronze."""
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<!--")
_NEEDS_MORE = re.compile(r"[^\x20-\x7e\n]|&\w|&#|<[a-zA-Z/!]")
_BLOCK_TAGS = {"br", "p", "div", "li", "tr", "h1", "h2", "h3", "h4", "blockquote"}
_HIDDEN_TAGS = {"script", "style", "head"}
_MIN_LETTERS = 8
_MIN_PROBABILITY = 0.7


def tidy(text: str) -> str:
    """Normalise a single-line cell: NFC, no invisible characters, single spaces."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).translate(_INVISIBLE)
    return " ".join(text.split())


def plain(text: str | None) -> str | None:
    """Normalise text: repair mojibake, remove HTML, NFC, no invisible characters, single spaces.

    Consecutive line breaks become one. Returns None for an empty result.
    """
    if text is None:
        return None
    if "\\u" in text:
        text = _LONE_SURROGATE.sub("", text)
    if _NEEDS_MORE.search(text):
        text = _repaired(text)
    return _LINES.sub("\n", _BLANKS.sub(" ", text)).strip() or None


def _repaired(text: str) -> str:
    import ftfy

    if _TAG.search(text):
        text = _without_tags(text)
    # Entities may be escaped twice; quotes and ligatures are kept as written.
    repaired = ftfy.fix_text(text, unescape_html=True, uncurl_quotes=False, fix_latin_ligatures=False)
    return repaired.translate(_INVISIBLE)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._hidden_depth = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._hidden_depth += tag in _HIDDEN_TAGS
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        self._hidden_depth -= tag in _HIDDEN_TAGS and self._hidden_depth > 0
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self._hidden_depth:
            self.parts.append(data)

    def _break(self, tag: str) -> None:
        if tag in _BLOCK_TAGS:
            self.parts.append("\n")


def _without_tags(text: str) -> str:
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return "".join(reader.parts)


def language(text: str | None, among: Sequence[str] = ()) -> str | None:
    """Detect the ISO 639-1 language of a text, limited to `among` if given; None if too short or ambiguous."""
    if text is None or sum(map(str.isalpha, text[:200])) < _MIN_LETTERS:
        return None
    code, probability = _identifier(tuple(among)).classify(text[:2000])
    return code if probability >= _MIN_PROBABILITY else None


def require_languages(among: Sequence[str]) -> None:
    """Check that all languages are supported.

    Raises:
        ConfigError: a language is not supported.
    """
    unknown = sorted(set(among) - set(_identifier(()).labels)) if among else []
    if unknown:
        raise ConfigError(
            f"clean.languages: unknown language {', '.join(unknown)}. Use ISO 639-1 codes such as en, de."
        )


@cache
def _identifier(among: tuple[str, ...]) -> Any:
    from py3langid import langid

    identifier = langid.LanguageIdentifier.from_modelpath(Path(langid.MODEL_DIR) / langid.MODEL_FILE, norm_probs=True)
    if among:
        identifier.set_languages(list(among))
    return identifier
