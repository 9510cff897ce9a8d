"""Standardise postal addresses with country packs. Plain Python, no Spark."""

import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from crm_spark.core.config import Config, read_yaml, validated
from crm_spark.core.errors import ConfigError
from crm_spark.stages.clean.texts import tidy

ANY = "any"
_NUMBER = r"\d+(?:\s?[a-z](?![a-z]))?(?:\s?[-/]\s?\d+(?:\s?[a-z](?![a-z]))?)?"
_AT_THE_END = re.compile(rf"(?<=\D)(?<!\d)\s({_NUMBER})$")
_WITHIN = re.compile(rf"(?<=[^\d\s])\s({_NUMBER})(?=\s|$)")
_AT_THE_START = re.compile(r"^(\d+[a-z]?(?:\s?[-/]\s?\d+[a-z]?)?)(?=\s)")


class AddressPack(Config):
    """Address conventions of one country."""

    names: list[str] = []
    """Spellings of the country name, in lower case."""
    number: Literal["before", "after", "either"] = "after"
    """Position of the house number: before the street, after it, or either."""
    words: dict[str, list[str]] = {}
    """Short form -> spellings that are whole words."""
    endings: dict[str, list[str]] = {}
    """Short form -> spellings at the end of a word."""
    postcode_digits: Annotated[int, Field(ge=3, le=9)] | None = None
    """Length of a numeric postcode, to restore a leading zero; null: postcodes are not padded."""


class Addresses:
    """Standardises streets, postcodes and countries with country packs."""

    def __init__(self, packs: dict[str, AddressPack]) -> None:
        self._packs = packs
        self._countries = {name: code for code, pack in packs.items() for name in pack.names}
        self._words = {c: {s: short for short, all_ in p.words.items() for s in all_} for c, p in packs.items()}
        self._endings = {
            code: sorted(((s, short) for short, all_ in pack.endings.items() for s in all_), key=lambda e: -len(e[0]))
            for code, pack in packs.items()
        }

    def country(self, spelled: str | None, default: str | None) -> str | None:
        """ISO 3166 alpha-2 code if known, otherwise the value as written; `default` for an empty value."""
        text = tidy(spelled or "").strip()
        if not text:
            return default
        if len(text) == 2 and text.lower() not in self._countries:
            return text.upper()
        return self._countries.get(text.lower().rstrip("."), text)

    def street(self, raw: str | None, country: str | None) -> tuple[str | None, str | None]:
        """Return the standardised street with house number (lower case), and the house number alone."""
        code = self._code(country)
        words = re.sub(r"[.,;]", " ", tidy(raw or "").lower()).split()
        plain = " ".join(self._short(word, code) for word in words)
        if not plain:
            return None, None
        if self._packs[code].number == "before":
            match = _AT_THE_START.search(plain) or _AT_THE_END.search(plain)
        elif self._packs[code].number == "either":
            match = _AT_THE_END.search(plain) or _AT_THE_START.search(plain) or _WITHIN.search(plain)
        else:
            match = _AT_THE_END.search(plain) or _WITHIN.search(plain)
        if match is None:
            return plain, None
        number = re.sub(r"\s", "", match[1])
        return plain[: match.start(1)] + number + plain[match.end(1) :], number

    def postcode(self, raw: str | None, country: str | None) -> str | None:
        """Upper case without spaces and hyphens; restores a leading zero removed by a spreadsheet."""
        code = re.sub(r"[\s-]", "", tidy(raw or "")).upper()
        digits = self._packs[self._code(country)].postcode_digits
        if digits is not None and code.isdecimal() and len(code) == digits - 1:
            code = f"0{code}"
        return code or None

    def _code(self, country: str | None) -> str:
        return country if country in self._packs else ANY

    def _short(self, word: str, code: str) -> str:
        if (short := self._words[code].get(word)) is not None:
            return short
        for spelling, short in self._endings[code]:
            if len(word) > len(spelling) + 1 and word.endswith(spelling):
                return word[: -len(spelling)] + short
        return word


def load_addresses(path: str | None) -> Addresses:
    """Load country packs from a YAML file; without a file only case, spaces and punctuation are normalised.

    Raises:
        ConfigError: the file is invalid, or a country name is assigned to two countries.
    """
    content = {} if path is None else read_yaml(Path(path))
    packs = {code: validated(AddressPack, pack or {}, origin=f"{path}: {code}") for code, pack in content.items()}
    owners: dict[str, str] = {}
    for code, pack in packs.items():
        if code != ANY and not re.fullmatch("[A-Z]{2}", code):
            raise ConfigError(
                f"{path}: unknown country {code!r}. Expected an ISO 3166 alpha-2 code such as DE, or `{ANY}`."
            )
        for name in pack.names:
            if owners.setdefault(name, code) != code:
                raise ConfigError(
                    f"{path}: {name!r} is assigned to both {owners[name]} and {code}. Remove it from one of them."
                )
    return Addresses({ANY: AddressPack(), **packs})
