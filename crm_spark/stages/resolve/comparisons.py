"""How two records of a person are compared, and which pairs are compared at all. Add a signal by adding a comparison."""

from typing import Any

import splink.comparison_library as cl
from splink import SettingsCreator, block_on

IDENTIFYING = ("given_key", "family_name", "email_match", "phone", "birth_on", "street", "postcode")
"""Columns a record is told by; `given_key` is the given name with short forms written out."""

_RULES = (
    ("email_match",),
    ("phone",),
    ("family_name", "birth_on"),
    ("given_key", "birth_on"),
    ("family_name", "postcode"),
    ("given_key", "street"),
)
"""Pairs are compared that agree on all columns of one of these, and whose given names do not contradict each other:
people of one household share a family name, an address and often a phone. Who shares an e-mail is compared in any case."""
_JARO_WINKLER = {"duckdb": "jaro_winkler_similarity", "spark": "jaro_winkler"}
_LEAST_ALIKE = 0.8
_CERTAIN = (("email_match", "family_name"), ("given_key", "family_name", "birth_on"))
"""Agreement that nearly always means the same person: from it the share of matching pairs is estimated."""
_TRAINING = (("email_match",), ("given_key", "family_name"), ("birth_on",))
"""Each teaches the comparisons of the columns that it does not name."""


def comparisons(present: set[str]) -> list[Any]:
    """The comparisons of the columns this company has."""
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
    """The rules whose columns are all there."""
    return [block_on(*columns) for columns in which if set(columns) <= present]


def prediction_rules(present: set[str], backend: str) -> list[Any]:
    """The rules for the pairs that are scored, in the backend's words."""
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
    """Alike, or unknown on one side, or an initial of the other."""
    alike = f"{_JARO_WINKLER[backend]}(l.given_key, r.given_key) >= {_LEAST_ALIKE}"
    initial = (
        "((length(l.given_key) = 1 OR length(r.given_key) = 1) "
        "AND substr(l.given_key, 1, 1) = substr(r.given_key, 1, 1))"
    )
    return f"(l.given_key IS NULL OR r.given_key IS NULL OR {alike} OR {initial})"


def settings(present: set[str], backend: str) -> SettingsCreator:
    """The model to be trained."""
    return SettingsCreator(
        link_type="dedupe_only",
        unique_id_column_name="record_key",
        comparisons=comparisons(present),
        blocking_rules_to_generate_predictions=prediction_rules(present, backend),
        retain_matching_columns=False,
    )


def certain_rules(present: set[str]) -> list[Any]:
    """Rules for the share of matching pairs."""
    return rules(_CERTAIN, present)


def training_rules(present: set[str]) -> list[Any]:
    """Rules for the training passes."""
    return rules(_TRAINING, present)
