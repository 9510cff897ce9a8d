"""Masked values of two records, side by side: equal parts are recognisable, and a few differing characters are shown."""

import re
from dataclasses import dataclass
from difflib import SequenceMatcher
from itertools import groupby
from typing import Literal

HIDDEN = "\N{BULLET}"
_MIN_SIMILARITY = 0.6
"""Values below this similarity are different: showing where would show most of them."""
_MAX_SHOWN = 4
"""Differing characters that are shown of a value; with more, none is shown."""
_MIN_BLOCK = 3
"""Shortest common part of different values that is marked as equal."""
_SEPARATORS = frozenset(" -.,@+/()'_")
Mark = Literal["same", "differs", "none"]


@dataclass(frozen=True)
class Part:
    """A run of characters.

    Attributes:
        text: as shown, hidden characters as bullets.
        mark: same: the other value has it, too; differs: the other value differs here; none.
    """

    text: str
    mark: Mark


@dataclass(frozen=True)
class Compared:
    """Two masked values.

    Attributes:
        left: parts of the value of one record.
        right: parts of that of the other.
        comparison: same, similar, differs or missing.
    """

    left: tuple[Part, ...]
    right: tuple[Part, ...]
    comparison: str


def masked_pair(column: str, left: str | None, right: str | None) -> Compared:
    """Mask two values of a column of `silver.person`; None is a missing value."""
    if left is None or right is None:
        parts = [
            () if value is None else _parts(value, _kept(column, value), ["none"] * len(value))
            for value in (left, right)
        ]
        return Compared(parts[0], parts[1], "missing")
    a, b = _folded(left), _folded(right)
    matcher = SequenceMatcher(None, a, b, autojunk=False)
    is_same, is_similar = a == b, matcher.ratio() >= _MIN_SIMILARITY
    marks: tuple[list[Mark], list[Mark]] = (["none"] * len(left), ["none"] * len(right))
    if is_similar:
        marks = (["differs"] * len(left), ["differs"] * len(right))
    for start, other, size in _common(a, b, matcher):
        if is_similar or size >= _MIN_BLOCK:
            marks[0][start : start + size] = ["same"] * size
            marks[1][other : other + size] = ["same"] * size
    shown = [_kept(column, value) | _differing(value, mark) for value, mark in zip((left, right), marks)]
    comparison = "same" if is_same else "similar" if is_similar else "differs"
    return Compared(_parts(left, shown[0], marks[0]), _parts(right, shown[1], marks[1]), comparison)


def _common(a: str, b: str, matcher: SequenceMatcher[str]) -> list[tuple[int, int, int]]:
    """Common parts: position in each value, and length."""
    in_place = [i for i, (x, y) in enumerate(zip(a, b)) if x == y]
    # Of two numbers with swapped digits, both digits differ: no digit was inserted and another removed.
    if len(a) == len(b) and len(a) - len(in_place) <= _MAX_SHOWN:
        return [(i, i, 1) for i in in_place]
    return [(block.a, block.b, block.size) for block in matcher.get_matching_blocks()]


def masked(column: str, value: str) -> str:
    """A masked value alone."""
    return "".join(part.text for part in _parts(value, _kept(column, value), ["none"] * len(value)))


def _folded(value: str) -> str:
    """The value in lower case, character by character: positions must stay."""
    return "".join(character.lower()[:1] for character in value)


def _differing(value: str, marks: list[Mark]) -> set[int]:
    differing = {i for i, mark in enumerate(marks) if mark == "differs" and value[i] not in _SEPARATORS}
    return differing if len(differing) <= _MAX_SHOWN else set()


def _kept(column: str, value: str) -> set[int]:
    """Positions that are always shown."""
    if column == "country":
        return set(range(len(value)))
    if column == "phone":  # country code and last digits: +49 ... 123
        is_long = len(value) > 8
        start = set(range(3)) if value.startswith("+") else set()
        return start | set(range(len(value) - 3, len(value))) if is_long else set()
    if column == "birth_on":
        return set(range(4))
    if column == "postcode":
        return set(range(2)) if len(value) > 3 else set()
    firsts = {match.start() for match in re.finditer(r"(?<!\w)\w", value)}
    if column == "email":  # first characters of the local part and the domain, and the top-level domain
        at, dot = value.rfind("@"), value.rfind(".")
        return {0, at + 1} | (set(range(dot, len(value))) if dot > at >= 0 else set())
    return firsts if len(value) > 1 else set()


def _parts(value: str, shown: set[int], marks: list[Mark]) -> tuple[Part, ...]:
    characters = [c if i in shown or c in _SEPARATORS else HIDDEN for i, c in enumerate(value)]
    runs = groupby(zip(characters, marks), key=lambda item: item[1])
    return tuple(Part("".join(character for character, _ in run), mark) for mark, run in runs)
