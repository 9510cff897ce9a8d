"""How many pairs match: a mixture of matches, members of one household, and other pairs.

The weight of evidence of a pair is log2 of how much more often its agreements occur among matches than among other pairs.
Members of a household agree like matches on the columns that a household shares, and like other pairs on the rest: the weight of
the shared columns alone is their likelihood ratio. The three rates are fitted by expectation-maximisation (Dempster, Laird and
Rubin 1977) over all pairs; pairs that were not compared count as other.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_SURE_BITS = 12.0


@dataclass(frozen=True)
class Rates:
    """Fractions of all pairs of records.

    Attributes:
        match: pairs of one person.
        relatives: pairs of two members of a household.
    """

    match: float
    relatives: float


def fit_rates(bits: Floats, own: Floats, counts: Floats, *, num_pairs: float, with_relatives: bool) -> Rates:
    """Fit the rates to the weights of compared pairs.

    Args:
        bits: weight of all columns, (G,) of groups of pairs.
        own: weight of the columns that a household does not share, (G,).
        counts: pairs of each group, (G,).
        num_pairs: all pairs of records, compared or not.
        with_relatives: whether some columns are shared by households; if not, that rate is 0.
    """
    least = 0.5 / num_pairs
    match = max(float(counts[bits > _SURE_BITS].sum()) / num_pairs, least)
    rates = Rates(min(match, 0.4), min(match, 0.4) if with_relatives else 0.0)
    for _ in range(2_000):
        matching, related = _posteriors(bits, own, rates)
        updated = Rates(
            min(max(float((counts * matching).sum()) / num_pairs, least), 0.5),
            min(max(float((counts * related).sum()) / num_pairs, least), 0.4) if with_relatives else 0.0,
        )
        is_done = all(
            math.isclose(a, b, rel_tol=1e-4)
            for a, b in ((updated.match, rates.match), (updated.relatives, rates.relatives))
        )
        rates = updated
        if is_done:
            break
    return rates


def match_probability(bits: Floats, own: Floats, rates: Rates) -> tuple[Floats, Floats]:
    """Probability that the two records of each pair are of one person, (P,), and support, (P,).

    Support is what a pair says for one cluster, in [-1, 1]: the probability of a match less that of two members of a household.
    A record that lacks the date of birth may match both of a father and a son of one name; that these two are members of a
    household, as their dates tell, must count against joining all three.
    """
    matching, related = _posteriors(bits, own, rates)
    return matching, matching - related


def _posteriors(bits: Floats, own: Floats, rates: Rates) -> tuple[Floats, Floats]:
    # Relative to the largest of the three, which may have hundreds of bits.
    shared = bits - own if rates.relatives else np.full_like(bits, -np.inf)
    largest = np.maximum(np.maximum(bits, shared), 0.0)
    matching = rates.match * np.exp2(bits - largest)
    related = rates.relatives * np.exp2(shared - largest)
    total = matching + related + (1 - rates.match - rates.relatives) * np.exp2(-largest)
    return matching / total, related / total


def prior_bits(rate: float) -> float:
    """Weight of a prior probability, in bits."""
    return math.log2(rate / (1 - rate))
