"""Splink settings: comparisons and blocking rules for person records."""

from typing import Any

import splink.comparison_library as cl
from splink import SettingsCreator, block_on

IDENTIFYING = ("given_key", "family_name", "email_match", "phone", "birth_on", "street", "postcode")
"""Identifying columns; `given_key` is the given name with nicknames expanded."""

_RULES = (
    ("email_match",),
    ("phone",),
    ("family_name", "birth_on"),
    ("given_key", "birth_on"),
    ("family_name", "postcode"),
    ("given_key", "street"),
)
"""Blocking rules: pairs that agree on all columns of a rule are compared if their given names are also compatible, since
members of a household share family name, address and often phone. Pairs with the same e-mail are always compared."""
_JARO_WINKLER = {"duckdb": "jaro_winkler_similarity", "spark": "jaro_winkler"}
_MIN_NAME_SIMILARITY = 0.8
DEFAULT_PRIOR = 1e-4
"""Probability that two random records match, if no pair matches by the deterministic rules; the default of Splink."""
_CERTAIN = (("email_match", "family_name"), ("given_key", "family_name", "birth_on"))
"""Deterministic rules used to estimate the probability that two random records match."""
_TRAINING = (("email_match",), ("given_key", "family_name"), ("birth_on",))
"""Blocking rules of the EM training passes; each trains the comparisons of the columns it does not contain."""


def comparisons(present: set[str]) -> list[Any]:
    """Comparisons for the columns that are present."""
    known = {
        "given_key": cl.JaroWinklerAtThresholds("given_key", [0.92, 0.8]).configure(term_frequency_adjustments=True),
        "family_name": cl.JaroWinklerAtThresholds("family_name", [0.92, 0.8]).configure(
            term_frequency_adjustments=True
        ),
        "email_match": cl.JaroWinklerAtThresholds("email_match", [0.95]).configure(term_frequency_adjustments=True),
        "phone": cl.ExactMatch("phone"),
        "birth_on": cl.LevenshteinAtThresholds("birth_on", [1, 2]),
        "street": cl.JaroWinklerAtThresholds("street", [0.92]),
        "postcode": cl.LevenshteinAtThresholds("postcode", [1]),
    }
    return [comparison for column, comparison in known.items() if column in present]


def rules(which: tuple[tuple[str, ...], ...], present: set[str]) -> list[Any]:
    """Blocking rules whose columns are all present."""
    return [block_on(*columns) for columns in which if set(columns) <= present]


def prediction_rules(present: set[str], backend: str) -> list[Any]:
    """Blocking rules for prediction, in the backend's SQL dialect."""
    chosen: list[Any] = []
    for columns in _RULES:
        if not set(columns) <= present:
            continue
        if "given_key" in present and not {"given_key", "email_match"} & set(columns):
            agreement = " AND ".join(f"l.{column} = r.{column}" for column in columns)
            chosen.append(f"{agreement} AND {_given_names_fit(backend)}")
        else:
            chosen.append(block_on(*columns))
    return chosen


def _given_names_fit(backend: str) -> str:
    """SQL condition: given names are similar, one is null, or one is the initial of the other."""
    alike = f"{_JARO_WINKLER[backend]}(l.given_key, r.given_key) >= {_MIN_NAME_SIMILARITY}"
    initial = (
        "((length(l.given_key) = 1 OR length(r.given_key) = 1) "
        "AND substr(l.given_key, 1, 1) = substr(r.given_key, 1, 1))"
    )
    return f"(l.given_key IS NULL OR r.given_key IS NULL OR {alike} OR {initial})"


def settings(present: set[str], backend: str, *, prior: float = DEFAULT_PRIOR) -> SettingsCreator:
    """Splink settings of the untrained model.

    Args:
        present: identifying columns of the records.
        backend: duckdb or spark.
        prior: probability that two random records match, in (0, 1).
    """
    return SettingsCreator(
        probability_two_random_records_match=prior,
        link_type="dedupe_only",
        unique_id_column_name="record_key",
        comparisons=comparisons(present),
        blocking_rules_to_generate_predictions=prediction_rules(present, backend),
        retain_matching_columns=False,
    )


def rule_settings(present: set[str]) -> SettingsCreator:
    """Splink settings of linkage by the deterministic rules alone."""
    return SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="record_key",
        blocking_rules_to_generate_predictions=certain_rules(present),
    )


def certain_rules(present: set[str]) -> list[Any]:
    """Deterministic rules for the columns that are present."""
    return rules(_CERTAIN, present)


def training_rules(present: set[str]) -> list[Any]:
    """Blocking rules of the EM training passes that leave at least one present column to train."""
    return rules(tuple(columns for columns in _TRAINING if set(columns) < present), present)
