"""Look-ups in constant lists as single expressions: Spark plans a list of literals node by node."""

from collections.abc import Iterable, Mapping

from pyspark.sql import Column
from pyspark.sql import functions as F

_PAIRS, _KEY = "\x1e", "\x1f"
"""Separators that occur in no word."""


def literal_map(words: Mapping[str, str]) -> Column:
    """Map column with the entries of `words`."""
    text = _PAIRS.join(f"{key}{_KEY}{value}" for key, value in words.items())
    return F.str_to_map(F.lit(text), F.lit(_PAIRS), F.lit(_KEY))


def is_in(column: Column, words: Iterable[str]) -> Column:
    """Whether a value is one of `words`; null for null."""
    return F.contains(F.lit(_PAIRS + _PAIRS.join(words) + _PAIRS), F.concat(F.lit(_PAIRS), column, F.lit(_PAIRS)))
