"""Stop words by language. Plain Python, no Spark."""

from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config, read_yaml, validated
from crm_spark.core.hashing import sha256_of

Language = Annotated[str, Field(pattern="^[a-z]{2,3}$")]
Word = Annotated[str, Field(pattern=r"^[^\W\d_]+('[^\W\d_]+)*$")]


class StopWordLists(Config):
    """Stop words by language: `conf/domains/stop_words.yaml`."""

    stop_words: dict[Language, list[Word]] = {}
    """Language -> stop words."""


class StopWords:
    """Look-up of stop words by language."""

    def __init__(self, lists: StopWordLists) -> None:
        self._by_language = {
            language: frozenset(_normalised(word) for word in words) for language, words in lists.stop_words.items()
        }
        self.version = sha256_of(lists.model_dump(mode="json"))[:16]
        """Digest of the lists."""

    def of(self, language: str | None, words: Collection[str]) -> set[str]:
        """Return the stop words among the words of a text.

        Args:
            language: of the text. If it is unknown, the language with most stop words in the text is used.
            words: all words of the text, case-folded.
        """
        if language is not None:
            return self._matches(language, words)
        return max((self._matches(each, words) for each in self._by_language), key=len, default=set())

    def _matches(self, language: str, words: Collection[str]) -> set[str]:
        listed = self._by_language.get(language, frozenset())
        return {word for word in words if _normalised(word) in listed}


def _normalised(word: str) -> str:
    return word.casefold().replace("’", "'")


def load_stop_words(path: str | None) -> StopWords:
    """Load the stop words of a YAML file; without a path there are none.

    Raises:
        ConfigError: names file, key, value and what is allowed.
    """
    lists = StopWordLists() if path is None else validated(StopWordLists, read_yaml(Path(path)), origin=path)
    return StopWords(lists)
