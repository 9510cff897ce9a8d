"""Assign sources to systems (id namespaces) based on shared ids."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crm_spark.onboarding.id_overlap import Overlap

_STRONG = 0.5
"""Minimum share of common ids for one namespace."""
_FEWEST = 5
_DENSE = 0.5
_SAME_RANGE = 0.9
_NO_NAMES = ("export", "data", "drops", "incoming", "files")


@dataclass(frozen=True)
class Systems:
    """System of each source.

    Attributes:
        of: source -> system.
        evidence: source -> reasons for the assignment.
        doubts: source -> sentences about sources that might share the system.
    """

    of: dict[str, str]
    evidence: dict[str, list[str]] = field(default_factory=dict)
    doubts: dict[str, list[str]] = field(default_factory=dict)


def is_same_system(overlap: Overlap) -> bool | None:
    """Whether the ids share one namespace; None if undecidable, since both may be counters that start at one."""
    if _contradicts(overlap):
        return False  # same id, different person
    if overlap.share < _STRONG or overlap.num_shared < min(_FEWEST, overlap.smaller.num_ids):
        return False
    if overlap.num_with_email >= _FEWEST:
        return True
    return None if _is_by_chance(overlap) else True


def _is_by_chance(overlap: Overlap) -> bool:
    """Whether two independent counters could produce the overlap."""
    small, large = overlap.smaller, overlap.larger
    if min(small.density, large.density) < _DENSE:
        return False
    assert (
        small.min_id is not None and small.max_id is not None and large.min_id is not None and large.max_id is not None
    )
    width = max(small.max_id, large.max_id) - min(small.min_id, large.min_id) + 1
    common = min(small.max_id, large.max_id) - max(small.min_id, large.min_id) + 1
    starts_alike = abs(small.min_id - large.min_id) <= 0.1 * width
    return starts_alike and common < _SAME_RANGE * width


def systems_of(sources: Mapping[str, Sequence[str]], overlaps: Sequence[Overlap]) -> Systems:
    """Group sources that share ids, unless the e-mails of shared ids contradict each other.

    Args:
        sources: source name -> words of its folders.
        overlaps: id overlaps of all pairs.
    """
    member = {name: {name} for name in sources}
    systems = Systems({}, {name: [] for name in sources}, {name: [] for name in sources})
    decisions = [
        (is_same_system(o), o) for o in sorted(overlaps, key=lambda o: (-o.share, -o.num_shared, o.smaller.source))
    ]
    apart = {frozenset(_pair(o)) for _, o in decisions if _contradicts(o)}
    for is_same, overlap in decisions:
        a, b = _pair(overlap)
        if _contradicts(overlap):
            systems.evidence[a].append(f"{_describe(overlap)}, but the e-mails of shared ids differ: separate systems.")
        if is_same and b not in member[a] and not any(frozenset((x, y)) in apart for x in member[a] for y in member[b]):
            systems.evidence[a].append(_describe(overlap))
            merged = member[a] | member[b]
            member |= dict.fromkeys(merged, merged)
    for is_same, overlap in decisions:
        a, b = _pair(overlap)
        if is_same is None and b not in member[a]:
            systems.doubts[a].append(f"{_describe(overlap)}, but independent counters that start at one also overlap")
    taken: set[str] = set()
    for name in sources:
        if name not in systems.of:
            system = _named(sorted(member[name]), sources, taken)
            taken.add(system)
            systems.of.update(dict.fromkeys(member[name], system))
    return systems


def _pair(overlap: Overlap) -> tuple[str, str]:
    return overlap.smaller.source, overlap.larger.source


def _contradicts(overlap: Overlap) -> bool:
    return overlap.num_with_email >= _FEWEST and overlap.num_same_email < _STRONG * overlap.num_with_email


def _describe(overlap: Overlap) -> str:
    small, large = overlap.smaller, overlap.larger
    return f"{small.column}: {int(100 * overlap.share)} % of its {small.num_ids} values are in {large.source}'s {large.column}"


def _named(members: Sequence[str], folders: Mapping[str, Sequence[str]], taken: set[str]) -> str:
    """System name: a common folder, a common first word, or the first source's name."""
    shared = [word for word in folders[members[0]] if all(word in folders[name] for name in members)]
    first = {name.split("_")[0] for name in members}
    words = [*reversed(shared), *(first if len(first) == 1 else ()), *members]
    free = [
        word for word in words if word not in taken and word not in _NO_NAMES and word[:1].isalpha() and word.isascii()
    ]
    return free[0] if free else members[0]
