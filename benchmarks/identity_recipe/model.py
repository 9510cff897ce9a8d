"""The Fellegi-Sunter model of a company's records: train it without labels, and score pairs."""

import logging
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from splink import Linker, block_on

from benchmarks.identity_recipe.compare import settings_of
from benchmarks.identity_recipe.evidence import Evidence
from benchmarks.identity_recipe.sessions import Session
from crm_spark.stages.resolve.splink_adapter import train_by_rule

FIRST_PRIOR = 1e-4
_LOWEST_BITS = -6.0
"""Least weight of one comparison: one wrong column must not outweigh all others."""
_MOST_BITS = 30.0
_SMALLEST = 1e-9


def trained(
    frame: Any, evidence: Sequence[Evidence], sessions: Sequence[Session], *, training_pairs: int, seed: int
) -> Linker:
    """Train u from random pairs and m from the sessions; then take the matches out of the random pairs, and train m again.

    Args:
        frame: registered records with the columns of evidence and `block_keys`.
        evidence: the columns to compare.
        sessions: from which m is learnt.
        training_pairs: random pairs for u.
        seed: of the random pairs.
    """
    linker = Linker(frame, settings_of(evidence, prior=FIRST_PRIOR), log_level=logging.ERROR)
    # One chunk: early stopping of the chunked estimate depends on the chunk order.
    linker.training.estimate_u_using_random_sampling(max_pairs=training_pairs, seed=seed, num_chunks=1)
    _train(linker, sessions)
    return linker


def _train(linker: Linker, sessions: Sequence[Session]) -> None:
    for session in sessions:
        if not train_by_rule(linker, block_on(*session.columns)):
            logging.getLogger("crm_spark").debug(
                "resolve: no model from pairs with equal %s", ", ".join(session.columns)
            )


def without_matches(linker: Linker, *, match_rate: float) -> dict[str, Any]:
    """Return the settings of the model with u freed of the matches among the random pairs, and with bounded weights.

    A random pair is a match with probability `match_rate`; where people have many records, these matches are a large part of
    the random pairs that agree on a rare value.
    """
    settings = linker.misc.save_model_to_json()
    for comparison in settings["comparisons"]:
        levels = [level for level in comparison["comparison_levels"] if not level.get("is_null_level")]
        for level in levels:
            m, u = level.get("m_probability"), level.get("u_probability")
            if m is None or u is None:
                continue
            u = max((u - match_rate * m) / (1 - match_rate), u / 50, _SMALLEST)
            level["u_probability"] = u
            level["m_probability"] = max(m, u * 2**_LOWEST_BITS)
    return settings


def match_rate_of(bits: NDArray[np.float64], counts: NDArray[np.float64], num_pairs: float) -> float:
    """Fraction of all pairs that match: the fixed point of the summed match probabilities.

    Args:
        bits: weight of the evidence for a match of groups of scored pairs, without the prior.
        counts: number of pairs of each group.
        num_pairs: number of all pairs of records.
    """
    odds = np.exp2(np.minimum(bits, _MOST_BITS))
    rate = max(float(counts[bits > 12].sum()), 1.0) / num_pairs
    for _ in range(200):
        prior = rate / (1 - rate)
        updated = float((counts * (odds * prior / (1 + odds * prior))).sum()) / num_pairs
        updated = min(max(updated, 0.5 / num_pairs), 0.5)
        if math.isclose(updated, rate, rel_tol=1e-4):
            break
        rate = updated
    return rate


def prior_bits(rate: float) -> float:
    """Weight of a prior probability, in bits."""
    return math.log2(rate / (1 - rate))
