"""Find the aspects mentioned in the clauses of a text. Plain Python, no Spark."""

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, field_validator

from crm_spark.contracts.scores import NO_ASPECT
from crm_spark.core.config import Config, read_yaml, validated
from crm_spark.core.hashing import sha256_of
from crm_spark.text.words import IDEOGRAPHS

Name = Annotated[str, Field(pattern=r"^\S(.*\S)?$", max_length=60)]
Language = Annotated[str, Field(pattern="^[a-z]{2,3}$")]
Term = Annotated[str, Field(pattern=r"^[^\W_]([^*]*[^\W_])?\*?$")]
"""One or more words; a trailing `*` matches any ending. Chinese and Japanese terms match anywhere: there are no spaces."""

_CLAUSE_END = r"(?<=[.!?…])\s+|[。！？；，]|\n|;"
"""A Chinese comma ends a clause, other commas need not."""
_IDEOGRAPH = re.compile(rf"[{IDEOGRAPHS}]")


class AspectWords(Config):
    """Aspects and their words, by language: `conf/domains/aspects.yaml`."""

    aspects: dict[Name, dict[Language, list[Term]]] = {}
    """Aspect -> language -> terms that mention it."""
    turns: dict[Language, list[Term]] = {}
    """Words that start a new clause within a sentence."""

    @field_validator("aspects")
    @classmethod
    def _is_nameable(cls, aspects: dict[str, Any]) -> dict[str, Any]:
        if NO_ASPECT in aspects:
            raise ValueError(f"`{NO_ASPECT}` is reserved for texts without an aspect; use another name")
        return aspects


class Mention(NamedTuple):
    """An aspect and a clause that mentions it."""

    aspect: str
    clause: str


class Aspects:
    """Find aspects in texts by word lists."""

    def __init__(self, words: AspectWords) -> None:
        self._words = words
        self._patterns: dict[tuple[str, str | None], re.Pattern[str]] = {}

    def __reduce__(self) -> tuple[type["Aspects"], tuple[AspectWords]]:
        return Aspects, (self._words,)  # compiled patterns are rebuilt on the worker

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the aspects, in file order."""
        return tuple(self._words.aspects)

    @property
    def version(self) -> str:
        """Digest of the word lists."""
        return sha256_of(self._words.model_dump(mode="json"))[:16]

    def mentions(self, text: str, language: str | None) -> list[Mention]:
        """Return one mention per clause and aspect, in text order."""
        mentions = []
        for clause in self.clauses(text):
            folded = clause.casefold()
            mentions += [Mention(name, clause) for name in self.names if self._pattern(name, language).search(folded)]
        return mentions

    def clauses(self, text: str) -> list[str]:
        """Split a text at sentence ends, line ends, semicolons and Chinese commas, and before the `turns` words."""
        parts = (part.strip(" \t,、") for part in self._cut.split(text))
        return [part for part in parts if part]

    @cached_property
    def _cut(self) -> re.Pattern[str]:
        turns = [term for terms in self._words.turns.values() for term in terms]
        spaced = [term for term in turns if not _IDEOGRAPH.search(term)]
        before_turn = rf"|[\s,]+(?={_any_of(spaced)})" if spaced else ""
        unspaced = [re.escape(term) for term in turns if term not in spaced]
        before_turn += rf"|(?={'|'.join(unspaced)})" if unspaced else ""
        return re.compile(_CLAUSE_END + before_turn, re.IGNORECASE)

    def _pattern(self, name: str, language: str | None) -> re.Pattern[str]:
        key = (name, language)
        if key not in self._patterns:
            by_language = self._words.aspects[name]
            chosen = [by_language[language]] if language in by_language else by_language.values()
            self._patterns[key] = re.compile(_any_of([term for terms in chosen for term in terms]))
        return self._patterns[key]


def _any_of(terms: list[str]) -> str:
    """Return a pattern for case-folded text that matches terms as whole words, and anywhere in scripts without spaces."""
    patterns = {term: r"\s+".join(map(re.escape, term.rstrip("*").casefold().split())) for term in terms}
    unspaced = [words for term, words in patterns.items() if _IDEOGRAPH.search(term)]
    spaced = [
        words if term.endswith("*") else rf"{words}(?!\w)"
        for term, words in patterns.items()
        if not _IDEOGRAPH.search(term)
    ]
    return "|".join([rf"(?<!\w)(?:{'|'.join(spaced) or '(?!)'})", *unspaced])


def load_aspects(path: str | None) -> Aspects:
    """Load the aspects of a YAML file; without a path there are none.

    Raises:
        ConfigError: names file, key, value and what is allowed.
    """
    return Aspects(AspectWords() if path is None else validated(AspectWords, read_yaml(Path(path)), origin=path))
