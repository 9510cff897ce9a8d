"""Clusters of one table of scored pairs, none of them larger than plausible."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from crm_spark.stages.resolve.average_link import FloatArray, Index, average_link

THRESHOLD = 0.35
"""Mean support of the pairs of two clusters from which on they are one customer."""
_STRICTER = (0.6, 0.85)
"""Thresholds by which a cluster that is too large is taken apart."""
LOWEST = 0.01
"""Pairs with less support for or against a match are dropped: in the mean of two clusters they count 0."""


@dataclass(frozen=True)
class Pairs:
    """Pairs of records with their support.

    Attributes:
        left: index of one record, (P,).
        right: index of the other one, (P,).
        support: for a match, or ALWAYS or NEVER, (P,).
    """

    left: Index
    right: Index
    support: FloatArray


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
        chosen = Pairs(number[pairs.left[inside]], number[pairs.right[inside]], pairs.support[inside])
        part = _cluster(len(members), chosen, threshold, None if exclusive is None else exclusive[members])
        found[members] = members[part]
    return found


def _cluster(num_records: int, pairs: Pairs, threshold: float, exclusive: Index | None) -> Index:
    return average_link(num_records, pairs.left, pairs.right, pairs.support, threshold=threshold, exclusive=exclusive)


def exclusive_codes(record_keys: Sequence[str], systems: Sequence[str]) -> Index | None:
    """Code of the system of each record, (N,), or -1, for `exclusive`; None if no system is given."""
    if not systems:
        return None
    codes = {system: code for code, system in enumerate(systems)}
    return np.array([codes.get(key.split("|", 1)[0], -1) for key in record_keys], np.int64)
