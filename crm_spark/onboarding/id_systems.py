"""Which sources are of one system, the name space of ids: told from the ids that they have in common."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from crm_spark.onboarding.id_overlap import Overlap

_STRONG = 0.5
"""Ids that were not counted from one are the same ones when a source has so many of another's."""
_FEWEST = 5
_DENSE = 0.5
_SAME_RANGE = 0.9
_NO_NAMES = ("export", "data", "drops", "incoming", "files")


@dataclass(frozen=True)
class Systems:
    """The system of each source.

    Attributes:
        of: source -> system.
        evidence: source -> sentences that say why.
        doubts: sentences about sources that may, or may not, be of one system, by the source that they are about.
    """

    of: dict[str, str]
    evidence: dict[str, list[str]] = field(default_factory=dict)
    doubts: dict[str, list[str]] = field(default_factory=dict)


def is_same_system(overlap: Overlap) -> bool | None:
    """Whether the ids are of one name space; null: they may be, or two programs both count from one."""
    if _contradicts(overlap):
        return False  # the same number, another person
    if overlap.share < _STRONG or overlap.num_shared < min(_FEWEST, overlap.smaller.num):
        return False
    if overlap.num_emails >= _FEWEST:
        return True
    return None if _is_by_chance(overlap) else True


def _is_by_chance(overlap: Overlap) -> bool:
    """Whether two counters that know nothing of each other would look the same: one has got less far than the other."""
    small, large = overlap.smaller, overlap.larger
    if min(small.density, large.density) < _DENSE:
        return False
    assert small.low is not None and small.high is not None and large.low is not None and large.high is not None
    width = max(small.high, large.high) - min(small.low, large.low) + 1
    common = min(small.high, large.high) - max(small.low, large.low) + 1
    starts_alike = abs(small.low - large.low) <= 0.1 * width
    return starts_alike and common < _SAME_RANGE * width


def systems_of(sources: Mapping[str, Sequence[str]], overlaps: Sequence[Overlap]) -> Systems:
    """The sources, put together where their ids are the same ones and no two of them contradict each other.

    Args:
        sources: name -> the words of the folders that its files lie in.
        overlaps: what every two have in common.
    """
    member = {name: {name} for name in sources}
    found = Systems({}, {name: [] for name in sources}, {name: [] for name in sources})
    verdicts = [
        (is_same_system(o), o) for o in sorted(overlaps, key=lambda o: (-o.share, -o.num_shared, o.smaller.source))
    ]
    apart = {frozenset(_pair(o)) for _, o in verdicts if _contradicts(o)}
    for verdict, overlap in verdicts:
        a, b = _pair(overlap)
        if _contradicts(overlap):
            found.evidence[a].append(f"{_said(overlap)}, but other people's: their e-mails differ. Two systems.")
        if verdict and b not in member[a] and not any(frozenset((x, y)) in apart for x in member[a] for y in member[b]):
            found.evidence[a].append(_said(overlap))
            together = member[a] | member[b]
            member |= dict.fromkeys(together, together)
    for verdict, overlap in verdicts:
        a, b = _pair(overlap)
        if verdict is None and b not in member[a]:
            found.doubts[a].append(f"{_said(overlap)}, but any two programs that count from one share such numbers")
    taken: set[str] = set()
    for name in sources:
        if name not in found.of:
            system = _named(sorted(member[name]), sources, taken)
            taken.add(system)
            found.of.update(dict.fromkeys(member[name], system))
    return found


def _pair(overlap: Overlap) -> tuple[str, str]:
    return overlap.smaller.source, overlap.larger.source


def _contradicts(overlap: Overlap) -> bool:
    return overlap.num_emails >= _FEWEST and overlap.num_same_email < _STRONG * overlap.num_emails


def _said(overlap: Overlap) -> str:
    small, large = overlap.smaller, overlap.larger
    return (
        f"{small.column}: {int(100 * overlap.share)} % of its {small.num} values are in {large.source}'s {large.column}"
    )


def _named(members: Sequence[str], folders: Mapping[str, Sequence[str]], taken: set[str]) -> str:
    """A folder that all lie in, or a word that all begin with, or the first one's name."""
    shared = [word for word in folders[members[0]] if all(word in folders[name] for name in members)]
    first = {name.split("_")[0] for name in members}
    words = [*reversed(shared), *(first if len(first) == 1 else ()), *members]
    free = [
        word for word in words if word not in taken and word not in _NO_NAMES and word[:1].isalpha() and word.isascii()
    ]
    return free[0] if free else members[0]
