"""Features that must not be inputs of predictions, found by the words of their names."""

import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path

from crm_spark.core.config import Config, read_yaml, validated
from crm_spark.core.errors import ConfigError


class SensitiveWords(Config):
    """File of words in the names of sensitive attributes."""

    words: dict[str, list[str]] = {}
    """Words by topic, in lower case without accents; several words in a row are joined by _."""


def sensitive_word(name: str, words: Iterable[str]) -> str | None:
    """Return the first of the words that a name contains as whole words, `religion` in `patient_religion`; None if it has none."""
    plain = f"_{_plain(name)}_"
    return next((w for w in words if f"_{w}_" in plain or (not w.isascii() and w in plain)), None)


def _plain(name: str) -> str:
    parts = unicodedata.normalize("NFKD", name.lower())
    return "_".join("".join(c if c.isalnum() else " " for c in parts if not unicodedata.combining(c)).split())


def sensitive_words(files: Sequence[str]) -> list[str]:
    """Load the words of all files.

    Raises:
        ConfigError: a file is invalid.
    """
    loaded = [validated(SensitiveWords, read_yaml(Path(path)), origin=path) for path in files]
    return [word for each in loaded for words in each.words.values() for word in words]


def require_no_sensitive(names: Iterable[str], words: Iterable[str], *, origin: str) -> None:
    """Check names of features.

    Raises:
        ConfigError: one of them is sensitive.
    """
    known = list(words)
    for name in sorted(names):
        if (word := sensitive_word(name, known)) is not None:
            raise ConfigError(
                f"{origin}: the feature {name} looks sensitive ({word}) and must not be an input of predictions. Set role: none "
                "and sensitivity: special for an attribute, or remove a declared feature. If it means something else, rename it."
            )
