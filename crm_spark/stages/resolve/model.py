"""The Fellegi-Sunter model of a company's records, trained without labels."""

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa
from splink import DuckDBAPI, Linker, block_on

from crm_spark.stages.resolve.comparisons import settings_of
from crm_spark.stages.resolve.evidence import Evidence
from crm_spark.stages.resolve.sessions import Session
from crm_spark.stages.resolve.splink_adapter import configure_duckdb, train_by_rule

LOWEST_BITS = -8.0
"""Least weight of one comparison: one wrong column must not outweigh all others."""
_MIN_U = 1e-9
_M_EQUAL, _M_DIFFERENT = 0.85, 0.05
"""Fractions of the matches that usually agree and differ on a column."""
_USUAL_PAIRS = 10.0
"""Matches for which the usual fractions count."""
Model = dict[str, Any]
"""Splink settings with trained probabilities, as read from JSON."""


def trained(
    sample: pa.Table,
    agreeing: pa.Table,
    evidence: Sequence[Evidence],
    sessions: Sequence[Session],
    *,
    training_pairs: int,
    seed: int,
) -> Model:
    """Learn u from random pairs, and m from the sessions.

    Args:
        sample: random records, for u.
        agreeing: the records of the sessions, for m.
        evidence: the columns to compare.
        sessions: from which m is learnt.
        training_pairs: number of random pairs.
        seed: of the random pairs.
    """
    linker = _linker(sample, settings_of(evidence))
    # One chunk: early stopping of the chunked estimate depends on the chunk order.
    linker.training.estimate_u_using_random_sampling(max_pairs=training_pairs, seed=seed, num_chunks=1)
    model = linker.misc.save_model_to_json()
    num_matches = dict.fromkeys((e.column for e in evidence), 0.0)
    if sessions:
        linker = _linker(agreeing, model)
        for session in sessions:
            if not train_by_rule(linker, block_on(*session.columns)):
                logging.getLogger("crm_spark").debug(
                    "resolve: nothing learnt where %s agree", ", ".join(session.columns)
                )
                continue
            for column in num_matches.keys() - set(session.columns):
                num_matches[column] += session.num_pairs * session.matching
        model = linker.misc.save_model_to_json()
    num_random = min(float(training_pairs), max(1.0, sample.num_rows * (sample.num_rows - 1) / 2))
    return _smoothed(model, num_matches, num_random)


def _smoothed(model: Model, num_matches: Mapping[str, float], num_random: float) -> Model:
    """Draw the probabilities of levels with little data towards usual ones, as if a few more pairs had been seen.

    Args:
        model: the trained model, without probabilities for levels that were never seen.
        num_matches: column -> matches from which m was learnt.
        num_random: random pairs from which u was learnt.
    """
    for comparison in model["comparisons"]:
        levels = _levels(comparison)
        seen = num_matches[comparison["output_column_name"]]
        if not any("m_probability" in level for level in levels):
            seen = 0.0
        between = (1 - _M_EQUAL - _M_DIFFERENT) / max(1, len(levels) - 2)
        for i, level in enumerate(levels):
            usual = _M_EQUAL if i == 0 else _M_DIFFERENT if i == len(levels) - 1 else between
            learnt = level.get("m_probability", 0.0)
            level["m_probability"] = (seen * learnt + _USUAL_PAIRS * usual) / (seen + _USUAL_PAIRS)
            level.setdefault("u_probability", 0.5 / num_random)
    return model


def without_matches(model: Model, *, match_rate: float) -> Model:
    """Return the model with u freed of the matches among the random pairs, and with bounded weights.

    A random pair is a match with probability `match_rate`; where people have many records, these matches are a large part of
    the random pairs that agree on a rare value.
    """
    freed: Model = json.loads(json.dumps(model))
    for comparison in freed["comparisons"]:
        for level in _levels(comparison):
            m, u = level["m_probability"], level["u_probability"]
            u = max((u - match_rate * m) / (1 - match_rate), u / 50, _MIN_U)
            level["u_probability"] = u
            level["m_probability"] = max(m, u * 2**LOWEST_BITS)
    return freed


def _levels(comparison: Model) -> list[Model]:
    """Levels that have probabilities: all but that of missing values."""
    return [level for level in comparison["comparison_levels"] if not level.get("is_null_level")]


def _linker(records: pa.Table, settings: Any) -> Linker:
    api = DuckDBAPI()
    configure_duckdb(api)
    return Linker(api.register(records), settings, log_level=logging.ERROR)
