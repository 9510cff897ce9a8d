"""Which pairs the model learns from: columns whose agreement is rarely a coincidence.

An EM session sees the pairs that agree on its columns and learns how the other columns behave among the matches of them. It works
where many of these pairs are matches: far more pairs agree on both columns than independent columns would.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

MIN_PAIRS = 30
MAX_SESSIONS = 8
ENOUGH_PAIRS = 200_000
_PER_COLUMN = 3
_MIN_MATCHING = 0.2


@dataclass(frozen=True)
class Session:
    """Pairs that agree on some columns.

    Attributes:
        columns: on which they agree.
        num_pairs: their number.
        expected: their number if the columns were independent and no two records matched.
    """

    columns: tuple[str, ...]
    num_pairs: int
    expected: float

    @property
    def matching(self) -> float:
        """Estimated fraction of the pairs that match, in [0, 1]."""
        return max(0.0, 1 - self.expected / self.num_pairs) if self.num_pairs else 0.0

    @property
    def one_in(self) -> int:
        """Sample of the blocks that has enough pairs to learn from: one of so many."""
        return max(1, self.num_pairs // ENOUGH_PAIRS)


def column_sets(columns: Sequence[str]) -> list[tuple[str, ...]]:
    """Single columns and pairs of columns: those on whose agreement a session can be blocked."""
    return [chosen for size in (1, 2) for chosen in combinations(columns, size)]


def sessions_of(agreeing: Mapping[tuple[str, ...], int], num_records: int) -> list[Session]:
    """Possible sessions.

    Args:
        agreeing: column set -> pairs of records that agree on it, for single columns and pairs of them.
        num_records: number of records.
    """
    num_pairs = max(1.0, num_records * (num_records - 1) / 2)
    found = []
    for columns, number in agreeing.items():
        expected = num_pairs
        for column in columns:
            expected *= agreeing[(column,)] / num_pairs
        found.append(Session(columns, number, expected))
    return found


def choose_sessions(sessions: Sequence[Session], columns: Sequence[str], names: Sequence[str]) -> tuple[Session, ...]:
    """Return the sessions from which every column is learnt, at least one of them blocked on a name.

    Args:
        sessions: possible ones.
        columns: columns of the model.
        names: those that are parts of a name.
    """
    usable = [s for s in sessions if s.num_pairs >= MIN_PAIRS and s.matching >= _MIN_MATCHING]
    usable.sort(key=lambda s: (-s.matching * min(1.0, s.num_pairs / 5_000), s.columns))
    chosen: list[Session] = []
    learnt: dict[str, int] = dict.fromkeys(columns, 0)

    def take(session: Session) -> None:
        chosen.append(session)
        for column in columns:
            learnt[column] += column not in session.columns

    if first := next((s for s in usable if set(s.columns) & set(names)), None):
        take(first)
    for session in usable:
        if len(chosen) == MAX_SESSIONS:
            break
        needed = [c for c in columns if c not in session.columns and learnt[c] < _PER_COLUMN]
        blocked = [s for s in chosen if set(s.columns) & set(session.columns)]
        if session not in chosen and needed and len(blocked) < 3 * len(session.columns):
            take(session)
    return tuple(chosen)
