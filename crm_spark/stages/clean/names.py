"""Standardise person names: extract titles, remove forms of address, fix case. Plain Python, no Spark."""

import re
from functools import lru_cache
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import Field

from crm_spark.core.config import Config, read_yaml, validated
from crm_spark.stages.clean.texts import tidy

_SIGNS = str.maketrans({"’": "'", "´": "'", ",": " "})
_PARTS_OF_A_WORD = re.compile(r"([-'])")


class NameWords(Config):
    """Titles, forms of address and particles in lower case, from `conf/domains/names.yaml`."""

    titles: dict[str, list[str]] = {}
    """Standard spelling -> accepted spellings."""
    address: list[str] = []
    """Forms of address, removed from names."""
    suffixes: list[str] = []
    """Suffixes of family names."""
    particles: list[str] = []
    """Particles of family names, kept in lower case."""
    in_places: list[str] = []
    """Further words that are in lower case within place names."""
    prefixes: list[str] = []
    """Prefixes after which the next letter is capitalised."""
    two_family_names: list[Annotated[str, Field(pattern="^[A-Z]{2}$")]] = []
    """Countries (ISO 3166 alpha-2) where people have two family names."""


class PersonName(NamedTuple):
    """Parts of a name; None for missing parts."""

    title: str | None
    given: str | None
    family: str | None


class Names:
    """Parses and standardises names using word lists."""

    def __init__(self, words: NameWords) -> None:
        self._of = words
        self._titles = {spelling: title for title, spellings in words.titles.items() for spelling in spellings}
        self._order = {title: place for place, title in enumerate(words.titles)}
        self._address = frozenset(words.address)
        self._suffixes = frozenset(words.suffixes)
        self._particles = frozenset(words.particles)
        self._in_places = self._particles | frozenset(words.in_places)
        self._prefixes = tuple(words.prefixes)
        self._two_family_names = frozenset(words.two_family_names)
        self._cased = lru_cache(maxsize=100_000)(self._cased_word)

    def __reduce__(self) -> tuple[type["Names"], tuple[NameWords]]:
        return Names, (self._of,)  # the cache is not pickled

    def written(self, given: str | None, family: str | None, title: str | None = None) -> PersonName:
        """Standardise title, given and family name; the cells may also contain titles and forms of address."""
        parts = [self._words(cell) for cell in (given, family, title)]
        titles = {self._titles[key] for words in parts for word in words if (key := _key(word)) in self._titles}
        given_words, family_words = (self._bare(words) for words in parts[:2])
        return PersonName(
            " ".join(sorted(titles, key=self._order.__getitem__)) or None,
            self._joined(given_words, self._particles, 1, len(given_words)) or None,
            self._joined(family_words, self._particles, 0, self._last(family_words)) or None,
        )

    def split(self, full: str | None, country: str | None = None) -> tuple[str | None, str | None]:
        """Split `Given Family` or `Family, Given` into given name (with titles) and family name, without changing case.

        Without a comma, the family name is the last word plus preceding particles and a following suffix; in `country`
        with two family names, the last two. A single word is a given name; after a title or form of address it is a
        family name.
        """
        if full is None or not full.strip():
            return None, None
        before, comma, after = full.partition(",")
        if comma and any(_key(word) not in self._suffixes and _key(word) not in self._titles for word in after.split()):
            return after.strip() or None, before.strip() or None
        words = full.replace(",", " ").split()
        lead = next((i for i, word in enumerate(words) if not self._is_title_or_address(word)), len(words))
        names = [word for word in words[lead:] if not self._is_title_or_address(word)]
        titles = [word for word in words if _key(word) in self._titles]
        if not names:
            return " ".join(words), None
        if lead and len(names) == 1:
            return " ".join(titles) or None, names[0]
        last = self._last(names)
        has_two = country in self._two_family_names
        start = self._two_families_start(names, last) if has_two else self._family_start(names, last)
        given, family = (names, []) if last == 0 else (names[:start], names[start:])
        return " ".join([*titles, *given]), " ".join(family) or None

    def _family_start(self, names: list[str], last: int) -> int:
        """Index of the first word of the family name that ends with the word at `last`."""
        return next((i for i in range(1, last) if self._begins_family(names[i])), last)

    def _two_families_start(self, names: list[str], last: int) -> int:
        """Index of the first of two family names that end with the word at `last`; the given name keeps one word."""
        start = last + 1
        for _ in range(2):
            start -= 1
            while start > 1 and self._begins_family(names[start - 1]):
                start -= 1
            if start <= 1:
                return 1
        return start

    def _begins_family(self, word: str) -> bool:
        """Whether a word is a particle or ends with one: `van`, `Fox-van`."""
        return _key(word).rpartition("-")[2] in self._particles

    def place(self, name: str | None) -> str | None:
        """Standardise the case of a city name."""
        words = self._words(name)
        return self._joined(words, self._in_places, 1, len(words) - 1) or None

    def _words(self, cell: str | None) -> list[str]:
        return [] if cell is None else tidy(cell).translate(_SIGNS).split()

    def _is_title_or_address(self, word: str) -> bool:
        return _key(word) in self._titles or _key(word) in self._address

    def _bare(self, words: list[str]) -> list[str]:
        bare = [word for word in words if not self._is_title_or_address(word)]
        # A single word is the name, even if it is also a form of address.
        return bare or [word for word in words if _key(word) not in self._titles]

    def _last(self, words: list[str]) -> int:
        """Index of the last word that is not a suffix."""
        return next((i for i in range(len(words) - 1, 0, -1) if _key(words[i]) not in self._suffixes), 0)

    def _joined(self, words: list[str], small: frozenset[str], first: int, last: int) -> str:
        """Join the words in name case; `small` words with index in [first, last) stay in lower case."""
        return " ".join(
            word.lower() if first <= i < last and _key(word) in small else self._cased(word)
            for i, word in enumerate(words)
        )

    def _cased_word(self, word: str) -> str:
        lower = word.lower()
        if lower.rstrip(".") in self._suffixes and set(lower) <= set("iv"):
            return lower.upper()
        parts = _PARTS_OF_A_WORD.split(lower)
        cased = "".join(
            part if i and part in self._particles else _capital(part[:1]) + part[1:] for i, part in enumerate(parts)
        )
        if "'" in lower and not lower.startswith(tuple(p for p in self._prefixes if p.endswith("'"))):
            head, _, tail = cased.partition("'")
            cased = f"{head}'{tail[:1].lower()}{tail[1:]}"
        for prefix in self._prefixes:
            if not prefix.endswith("'") and lower.startswith(prefix) and len(lower) > len(prefix) + 2:
                at = len(prefix)
                cased = cased[:at] + _capital(cased[at : at + 1]) + cased[at + 1 :]
        return cased


def _capital(letter: str) -> str:
    """Upper-case a letter; letters such as `ß`, whose upper case has two letters, are unchanged."""
    return upper if len(upper := letter.upper()) == len(letter) else letter


def _key(word: str) -> str:
    return word.lower().strip(".,")


def load_names(path: str | None) -> Names:
    """Load the word lists from a YAML file; without a file only case and spaces are normalised.

    Raises:
        ConfigError: the file is invalid; the message names file, key, value and the allowed values.
    """
    return Names(NameWords() if path is None else validated(NameWords, read_yaml(Path(path)), origin=path))
