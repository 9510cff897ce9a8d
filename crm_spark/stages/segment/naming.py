"""Segment names that are true of the segment: a name may only say what the medians of all segments show."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from crm_spark.customers.business import ORDERS, BusinessWords
from crm_spark.stages.segment.config import DIMENSIONS, Archetype

_MIN_RATIO = 1.1
"""Smallest ratio of two medians that counts as a difference."""
_MIN_OFFSET = 0.1
"""Smallest distance from the middle of the segments, as a fraction of their range, that counts as above or below."""
_DETAIL_BONUS = 0.5
"""Distance in standard deviations that one more dimension in a name is worth."""
_IMPOSSIBLE = 1e6
_NUMBERED = re.compile(r" \(segment \d+\)$")


@dataclass(frozen=True)
class Medians:
    """Medians of a segment; None if unknown."""

    recency: float | None
    """Days since the last order."""
    frequency: float | None
    """Number of orders."""
    monetary: float | None
    """Revenue in the reporting currency."""


Sides = dict[str, int]
"""Dimension -> -1 below the other segments, 1 above them, 0 neither or unknown."""


def segment_names(
    medians: Mapping[int, Medians],
    archetypes: list[Archetype],
    *,
    horizon_days: int,
    former: Mapping[int, str],
    words: BusinessWords = ORDERS,
) -> dict[int, str]:
    """Return a unique, true name for each segment: its former name, else an archetype, else a plain description.

    Args:
        medians: of each segment, by id; at least two segments differ in some dimension for a name to say anything.
        archetypes: available names.
        horizon_days: an order within this period is recent.
        former: names of continued segments; kept while they are true.
        words: what the company calls its purchases.
    """
    sides = sides_of(medians, horizon_days=horizon_days)
    by_name = {archetype.name: archetype for archetype in archetypes}
    names: dict[int, str] = {}
    for segment_id, name in former.items():
        if segment_id in medians and name not in names.values() and _is_true(name, by_name, sides[segment_id], words):
            names[segment_id] = name
    new = [segment_id for segment_id in medians if segment_id not in names]
    unused = [archetype for archetype in archetypes if archetype.name not in names.values()]
    names.update(_assigned(new, unused, sides, _positions(medians)))
    for segment_id in medians:
        if segment_id not in names:
            name = described(sides[segment_id], words)
            is_taken = name in names.values() or name in by_name
            names[segment_id] = f"{name} (segment {segment_id})" if is_taken else name
    return {segment_id: names[segment_id] for segment_id in medians}


def sides_of(medians: Mapping[int, Medians], *, horizon_days: int) -> dict[int, Sides]:
    """Return the side of each segment in each dimension.

    "Recent" and "long ago" are also absolute: within and before the horizon. Buyers with one order are never frequent.
    """
    sides: dict[int, Sides] = {segment_id: dict.fromkeys(DIMENSIONS, 0) for segment_id in medians}
    for dimension in DIMENSIONS:
        values = {i: v for i, m in medians.items() if (v := getattr(m, dimension)) is not None}
        for segment_id, value in values.items():
            side = _side(value, list(values.values()))
            if dimension == "recency" and side and (side > 0) != (value > horizon_days):
                side = 0
            if dimension == "frequency" and side > 0 and value < 2:
                side = 0
            sides[segment_id][dimension] = side
    return sides


def _side(value: float, values: list[float]) -> int:
    lowest, highest = min(values), max(values)
    logs = [math.log1p(max(v, 0.0)) for v in values]
    distance = math.log1p(max(value, 0.0)) - sum(logs) / len(logs)
    if abs(distance) <= _MIN_OFFSET * (max(logs) - min(logs)):
        return 0
    if distance > 0:
        return 1 if value >= _MIN_RATIO * lowest and value > lowest else 0
    return -1 if highest >= _MIN_RATIO * value and highest > value else 0


def fits(archetype: Archetype, sides: Sides) -> bool:
    """Return whether everything that the name of an archetype says holds for a segment."""
    return all(sides[name] == side for name, side in archetype.claims.items())


def described(sides: Sides, words: BusinessWords) -> str:
    """Return a plain description of a segment: `Recent buyers with few orders and low revenue`."""
    recency = {-1: f"recent {words.buyers}", 0: words.buyers, 1: f"inactive {words.buyers}"}[sides["recency"]]
    buyers = f"{recency[0].upper()}{recency[1:]}"
    orders = {-1: f"few {words.purchases}", 1: f"many {words.purchases}"}.get(sides["frequency"])
    revenue = {-1: "low revenue", 1: "high revenue"}.get(sides["monetary"])
    traits = " and ".join(trait for trait in (orders, revenue) if trait)
    if traits:
        return f"{buyers} with {traits}"
    return buyers if sides["recency"] else f"Other {words.buyers}"


def _is_true(name: str, archetypes: Mapping[str, Archetype], sides: Sides, words: BusinessWords) -> bool:
    plain = _NUMBERED.sub("", name)
    return fits(archetypes[plain], sides) if plain in archetypes else plain == described(sides, words)


def _positions(medians: Mapping[int, Medians]) -> dict[int, list[float]]:
    """Return the position of each segment on a log scale in standard deviations of the segments; 0 if unknown."""
    columns = []
    for dimension in DIMENSIONS:
        values = [getattr(m, dimension) for m in medians.values()]
        logs = np.array([math.nan if v is None else math.log1p(max(v, 0.0)) for v in values])
        if np.isnan(logs).all():
            columns.append(np.zeros(len(logs)))
            continue
        spread = float(np.nanstd(logs))
        columns.append(np.nan_to_num((logs - np.nanmean(logs)) / (spread if spread > 0 else 1.0)))
    return dict(zip(medians, np.array(columns).T.tolist()))


def _assigned(
    segment_ids: list[int], archetypes: list[Archetype], sides: dict[int, Sides], positions: dict[int, list[float]]
) -> dict[int, str]:
    """Return the archetypes that fit, by minimum-cost assignment; segments without one are left out."""
    if not segment_ids or not archetypes:
        return {}
    cost = np.array([[_cost(archetype, positions[i]) for archetype in archetypes] for i in segment_ids])
    possible = np.array([[fits(archetype, sides[i]) for archetype in archetypes] for i in segment_ids])
    rows, columns = linear_sum_assignment(np.where(possible, cost, _IMPOSSIBLE))
    return {segment_ids[r]: archetypes[c].name for r, c in zip(rows, columns) if possible[r, c]}


def _cost(archetype: Archetype, position: list[float]) -> float:
    """Return the distance in the dimensions that the name speaks about; of equally close names, the one that says more."""
    by_dimension: dict[str, float] = dict(zip(DIMENSIONS, position))
    distances = [by_dimension[name] - getattr(archetype, name) for name in archetype.claims]
    return math.hypot(*distances) - _DETAIL_BONUS * len(distances)
