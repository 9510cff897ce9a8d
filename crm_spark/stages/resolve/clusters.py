"""Clusters of one table of scored pairs, none of them larger than plausible."""

from dataclasses import dataclass

import numpy as np

from crm_spark.stages.resolve.average_link import FloatArray, Index, average_link

THRESHOLD = 0.35
"""Mean match probability of the pairs of two clusters from which on they are one customer."""
_STRICTER = (0.6, 0.85)
"""Thresholds by which a cluster that is too large is taken apart."""
LOWEST = 0.01
"""Pairs with a lower match probability are dropped: in the mean of two clusters they count 0."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of records with a probability.

    Attributes:
        left: index of one record, (P,).
        right: index of the other one, (P,).
        probability: of a match, or ALWAYS or NEVER, (P,).
    """

    left: Index
    right: Index
    probability: FloatArray


def clusters_of(num_records: int, pairs: Pairs, *, max_size: int, exclusive: Index | None = None) -> Index:
    """Return the cluster of each record, (N,): the index of its first record.

    A cluster of more than `max_size` records is taken apart by stricter thresholds; what remains too large then is kept.

    Args:
        num_records: N.
        pairs: scored and declared pairs.
        max_size: records that a customer plausibly has.
        exclusive: as in `average_link`.
    """
    found = _cluster(num_records, pairs, THRESHOLD, exclusive)
    for threshold in _STRICTER:
        sizes = np.bincount(found, minlength=num_records)
        too_large = sizes[found] > max_size
        if not too_large.any():
            break
        members = np.flatnonzero(too_large)
        number = np.full(num_records, -1, np.int64)
        number[members] = np.arange(len(members))
        inside = (number[pairs.left] >= 0) & (found[pairs.left] == found[pairs.right])
        chosen = Pairs(number[pairs.left[inside]], number[pairs.right[inside]], pairs.probability[inside])
        part = _cluster(len(members), chosen, threshold, None if exclusive is None else exclusive[members])
        found[members] = members[part]
    return found


def _cluster(num_records: int, pairs: Pairs, threshold: float, exclusive: Index | None) -> Index:
    return average_link(
        num_records, pairs.left, pairs.right, pairs.probability, threshold=threshold, exclusive=exclusive
    )
