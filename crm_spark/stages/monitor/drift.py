"""Feature drift between two snapshots: PSI over bins of the earlier snapshot."""

import math
from datetime import date

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from scipy.stats import chi2

NUM_BINS = 10
_FLOOR = 1e-4


def edges(reference: DataFrame, features: list[str]) -> dict[str, list[float]]:
    """Return the inner bin edges of each feature: distinct deciles of the reference snapshot."""
    quantiles = [i / NUM_BINS for i in range(1, NUM_BINS)]
    values_by_feature = reference.approxQuantile(features, quantiles, 0.001)
    return {name: sorted(set(values)) for name, values in zip(features, values_by_feature)}


def bin_of(value: Column, inner: list[float]) -> Column:
    """Return the bin of a value: 0 for null, else 1 + the number of edges below it."""
    position = sum((F.when(value > edge, 1).otherwise(0) for edge in inner), F.lit(0))
    return F.when(value.isNull(), 0).otherwise(position + 1)


def bin_counts(frame: DataFrame, bins: dict[str, list[float]]) -> dict[str, list[int]]:
    """Return the number of rows per bin of every feature, in one pass."""
    positions = [bin_of(F.col(name).cast("double"), inner).cast("int").alias(name) for name, inner in bins.items()]
    counts = {name: [0] * (len(inner) + 2) for name, inner in bins.items()}
    # Rows of feature and bin: one expression per pair of them would take longer to plan than the snapshot to read.
    long = frame.select(*positions).unpivot([], list(bins), "feature", "bin")
    for feature, position, number in long.groupBy("feature", "bin").count().collect():
        counts[feature][position] = number
    return counts


def psi(before: list[int], after: list[int]) -> float:
    """Return the population stability index of two histograms; empty bins count as 0.0001."""
    total_before, total_after = sum(before), sum(after)
    pairs = [(max(b / total_before, _FLOOR), max(a / total_after, _FLOOR)) for b, a in zip(before, after) if b or a]
    return sum((a - b) * math.log(a / b) for b, a in pairs)


def noise_threshold(num_before: int, num_after: int, *, effect: float) -> float:
    """Return the PSI threshold: the 99.9% quantile under no drift at these sizes, at least `effect`."""
    return max(effect, float(chi2.ppf(0.999, NUM_BINS - 1)) * (1 / num_before + 1 / num_after))


def drift_rows(
    before: DataFrame, after: DataFrame, features: list[str], *, days: tuple[date, date], effect: float
) -> list[tuple[str, date, date, float, float, int]]:
    """Return feature, as_of, reference_as_of, psi, threshold, num_rows of each feature."""
    bins = edges(before, features)
    counts_before, counts_after = bin_counts(before, bins), bin_counts(after, bins)
    rows = []
    for name in features:
        num_before, num_after = sum(counts_before[name]), sum(counts_after[name])
        threshold = noise_threshold(num_before, num_after, effect=effect)
        rows.append((name, days[1], days[0], psi(counts_before[name], counts_after[name]), threshold, num_after))
    return rows
