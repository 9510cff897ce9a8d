"""Which aspects a text speaks of, and in which clauses. Plain Python, no Spark."""

import re
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NamedTuple

from pydantic import Field, field_validator

from crm_spark.contracts.scores import NO_ASPECT
from crm_spark.core.config import Config, read_yaml, validated
from crm_spark.core.hashing import sha256_of

Name = Annotated[str, Field(pattern=r"^\S(.*\S)?$", max_length=60)]
Language = Annotated[str, Field(pattern="^[a-z]{2,3}$")]
Term = Annotated[str, Field(pattern=r"^[^\W_]([^*]*[^\W_])?\*?$")]
"""Words, with a `*` at the end for any ending."""

_SENTENCE_END = r"(?<=[.!?…])\s+|[。！？]|\n|;"


class AspectWords(Config):
    """Aspects and their words, by language: `conf/domains/aspects.yaml`."""

    aspects: dict[Name, dict[Language, list[Term]]] = {}
    turns: dict[Language, list[Term]] = {}
    """Words with which a new clause begins inside a sentence."""

    @field_validator("aspects")
    @classmethod
    def _is_nameable(cls, aspects: dict[str, Any]) -> dict[str, Any]:
        if NO_ASPECT in aspects:
            raise ValueError(f"`{NO_ASPECT}` stands for texts that speak of no aspect; give it another name")
        return aspects


class Mention(NamedTuple):
    """A clause and the aspect it speaks of."""

    aspect: str
    clause: str


class Aspects:
    """Finds aspects by a list of words."""

    def __init__(self, words: AspectWords) -> None:
        self._of = words
        self._patterns: dict[tuple[str, str | None], re.Pattern[str]] = {}

    def __reduce__(self) -> tuple[type["Aspects"], tuple[AspectWords]]:
        return Aspects, (self._of,)  # patterns are compiled where they are used

    @property
    def names(self) -> tuple[str, ...]:
        """The aspects, in their order."""
        return tuple(self._of.aspects)

    @property
    def version(self) -> str:
        """Digest of the words: other words, other mentions."""
        return sha256_of(self._of.model_dump(mode="json"))[:16]

    def mentions(self, text: str, language: str | None) -> list[Mention]:
        """Each clause with each aspect it speaks of, in the order of the text."""
        found = []
        for clause in self.clauses(text):
            folded = clause.casefold()
            found += [Mention(name, clause) for name in self.names if self._pattern(name, language).search(folded)]
        return found

    def clauses(self, text: str) -> list[str]:
        """The text cut at the ends of sentences and lines, at semicolons, and before words with which a clause turns."""
        parts = (part.strip(" \t,") for part in self._cut.split(text))
        return [part for part in parts if part]

    @cached_property
    def _cut(self) -> re.Pattern[str]:
        turns = [term for terms in self._of.turns.values() for term in terms]
        before_turn = rf"|[\s,]+(?={_any_of(turns)})" if turns else ""
        return re.compile(_SENTENCE_END + before_turn, re.IGNORECASE)

    def _pattern(self, name: str, language: str | None) -> re.Pattern[str]:
        key = (name, language)
        if key not in self._patterns:
            by_language = self._of.aspects[name]
            chosen = [by_language[language]] if language in by_language else by_language.values()
            self._patterns[key] = re.compile(_any_of([term for terms in chosen for term in terms]))
        return self._patterns[key]


def _any_of(terms: list[str]) -> str:
    """Matches any of the terms as whole words, in casefolded text."""
    written = (r"\s+".join(map(re.escape, term.rstrip("*").casefold().split())) for term in terms)
    each = (words if term.endswith("*") else rf"{words}(?!\w)" for words, term in zip(written, terms))
    return rf"(?<!\w)(?:{'|'.join(each) or '(?!)'})"


def load_aspects(path: str | None) -> Aspects:
    """The aspects of a YAML file; none: no text speaks of any.

    Raises:
        ConfigError: names file, key, value and what is allowed.
    """
    return Aspects(AspectWords() if path is None else validated(AspectWords, read_yaml(Path(path)), origin=path))
