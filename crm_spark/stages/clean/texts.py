"""Free text made readable, and its language. Plain Python, no Spark; the text as written stays beside it."""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from crm_spark.core.errors import ConfigError

_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u2060\ufeff\u00ad"))
"""Zero-width blank, word joiner, byte order mark, soft hyphen. Joiners stay: emoji and several scripts are made of them."""
_BLANKS = re.compile(r"[^\S\n]+")
_LINES = re.compile(r" ?(\n ?)+")
_HALF = re.compile(r"\\u[dD][89a-fA-F][0-9a-fA-F]{2}")
"""How bronze keeps half of a character, where JSON cut one."""
_TAG = re.compile(r"</?[a-zA-Z][^<>]*>|<!--")
_NEEDS_MORE = re.compile(r"[^\x20-\x7e\n]|&\w|&#|<[a-zA-Z/!]")
_BREAKING = {"br", "p", "div", "li", "tr", "h1", "h2", "h3", "h4", "blockquote"}
_UNSEEN = {"script", "style", "head"}
_LEAST_LETTERS = 8
_LEAST_PROBABILITY = 0.7


def tidy(text: str) -> str:
    """NFC, without invisible characters, every run of blanks one blank; for cells of one line."""
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).translate(_INVISIBLE)
    return " ".join(text.split())


def plain(text: str | None) -> str | None:
    """Readable text: mojibake mended, HTML and its entities resolved, NFC, no invisible characters, single blanks.

    Line breaks stay, as one. Null where nothing is left.
    """
    if text is None:
        return None
    if "\\u" in text:
        text = _HALF.sub("", text)
    if _NEEDS_MORE.search(text):
        text = _mended(text)
    return _LINES.sub("\n", _BLANKS.sub(" ", text)).strip() or None


def _mended(text: str) -> str:
    import ftfy

    if _TAG.search(text):
        text = _without_tags(text)
    # Entities may be written twice over; quotes and ligatures are the writer's.
    mended = ftfy.fix_text(text, unescape_html=True, uncurl_quotes=False, fix_latin_ligatures=False)
    return mended.translate(_INVISIBLE)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._unseen = 0

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self._unseen += tag in _UNSEEN
        self._break(tag)

    def handle_endtag(self, tag: str) -> None:
        self._unseen -= tag in _UNSEEN and self._unseen > 0
        self._break(tag)

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self.parts.append(data)

    def _break(self, tag: str) -> None:
        if tag in _BREAKING:
            self.parts.append("\n")


def _without_tags(text: str) -> str:
    reader = _Reader()
    reader.feed(text)
    reader.close()
    return "".join(reader.parts)


def language(text: str | None, among: Sequence[str] = ()) -> str | None:
    """ISO 639-1 of a text, or null where it is too short or too mixed to tell. `among`: the languages that may be."""
    if text is None or sum(map(str.isalpha, text[:200])) < _LEAST_LETTERS:
        return None
    code, probability = _identifier(tuple(among)).classify(text[:2000])
    return code if probability >= _LEAST_PROBABILITY else None


def require_languages(among: Sequence[str]) -> None:
    """Sees to it that each of the languages can be told.

    Raises:
        ConfigError: one of them is not known.
    """
    unknown = sorted(set(among) - set(_identifier(()).labels)) if among else []
    if unknown:
        raise ConfigError(
            f"clean.languages: {', '.join(unknown)}: no such language. Give ISO 639-1 codes such as en, de."
        )


@cache
def _identifier(among: tuple[str, ...]) -> Any:
    from py3langid import langid

    identifier = langid.LanguageIdentifier.from_modelpath(Path(langid.MODEL_DIR) / langid.MODEL_FILE, norm_probs=True)
    if among:
        identifier.set_languages(list(among))
    return identifier
