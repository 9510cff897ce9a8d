"""Average-link clustering of scored pairs: two clusters are one if the mean support of all their pairs is high.

Connected components chain: two people are joined by one wrong pair. The mean over all pairs of two clusters, where a pair that
was never compared counts 0, needs most of their records to agree (UPGMA, Sokal and Michener 1958).
"""

import heapq

import numpy as np
from numpy.typing import NDArray

Index = NDArray[np.int64]
FloatArray = NDArray[np.float64]
ALWAYS, NEVER = 1e9, -1e9
"""Support of a pair that must be in one cluster, and of one that must not."""


def average_link(
    num_records: int,
    left: Index,
    right: Index,
    support: FloatArray,
    *,
    threshold: float,
    exclusive: Index | None = None,
) -> Index:
    """Return the cluster of each record, (N,): the index of its first record.

    The result depends on the pairs, not on their order. Time is O(P log P) for P pairs of bounded degree.

    Args:
        num_records: N.
        left: index of one record of each pair, (P,), in any direction. The support of a pair that occurs twice is added.
        right: index of the other one, (P,).
        support: match probability of each pair, negative where something speaks against it, (P,); ALWAYS joins two records, NEVER
            keeps them apart.
        threshold: lowest mean support at which two clusters are joined.
        exclusive: code of the source of each record, (N,), if the source has one record per person; otherwise -1. Two records of
            such a source are never joined.
    """
    sizes, owner = [1] * num_records, list(range(num_records))
    sums: list[dict[int, float]] = [{} for _ in range(num_records)]
    low, high = np.minimum(left, right), np.maximum(left, right)
    order = np.lexsort((support, high, low))  # the order of additions decides the last bits of the sums
    for a, b, p in zip(low[order].tolist(), high[order].tolist(), support[order].tolist()):
        if a != b:
            sums[a][b] = sums[b][a] = sums[a].get(b, 0.0) + p
    sources = [] if exclusive is None else [{code} if code >= 0 else set() for code in exclusive.tolist()]
    heap = [(-p, a, b) for a in range(num_records) for b, p in sums[a].items() if a < b and p >= threshold]
    heapq.heapify(heap)
    while heap:
        negative_mean, a, b = heapq.heappop(heap)
        if owner[a] != a or owner[b] != b or sums[a].get(b, 0.0) / (sizes[a] * sizes[b]) != -negative_mean:
            continue  # an entry from before one of the two grew
        if sources and not sources[a].isdisjoint(sources[b]):
            continue
        owner[b] = a
        sizes[a] += sizes[b]
        if sources:
            sources[a] |= sources[b]
        of_a = sums[a]
        del of_a[b]
        for c, total in sorted(sums[b].items()):
            if c != a:
                del sums[c][b]
                of_a[c] = sums[c][a] = of_a.get(c, 0.0) + total
        sums[b] = {}
        for c, total in of_a.items():
            mean = total / (sizes[a] * sizes[c])
            if mean >= threshold:
                heapq.heappush(heap, (-mean, min(a, c), max(a, c)))
    return _roots(owner)


def _roots(owner: list[int]) -> Index:
    roots = np.array(owner, np.int64)
    while not np.array_equal(roots[roots], roots):
        roots = roots[roots]
    return roots
