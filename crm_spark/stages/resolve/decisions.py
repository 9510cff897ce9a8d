"""Decisions of people about pairs of records: the newest of each pair counts, and contradictory ones are found.

Decisions are read from files and remembered in `gold.identity_decision`, so that they stay in force when a file is removed. There
are as many as people have made by hand: they are merged in the driver.
"""

import hashlib
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pyspark.sql import DataFrame, SparkSession

from crm_spark.contracts.gold import IDENTITY_DECISION
from crm_spark.core.context import JobContext
from crm_spark.core.log import number_of
from crm_spark.core.tables import TableStore
from crm_spark.stages.resolve.decision_files import Decision, decision_files, read_decisions

DECIDED = "record_key_l string, record_key_r string, is_same boolean"
_TABLE = IDENTITY_DECISION.name
_MAX_LOGGED = 20


@dataclass(frozen=True)
class Decided:
    """Decisions of a run.

    Attributes:
        newest: newest decision of each pair, also those that were undone or are contradictory.
        applied: those of them that are in force and contradict no newer one.
        problems: a message for each line that is not applied.
    """

    newest: tuple[Decision, ...] = ()
    applied: tuple[Decision, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def notes(self) -> list[str]:
        """Summary for the note of the stage; empty without decisions."""
        notes = [number_of(len(self.applied), "decision") + " applied"] if self.newest else []
        return notes + (
            [f"{number_of(len(self.problems), 'problem')} in the decisions, see the log"] if self.problems else []
        )

    def rows(self, spark: SparkSession) -> DataFrame:
        """Content of `gold.identity_decision`. Grain: pair."""
        rows = [
            (
                *(d.system, d.person_id, d.other_system, d.other_person_id),
                *(d.is_same, d.decided_by, d.decided_at, d.note, d.sample),
            )
            for d in self.newest
        ]
        return spark.createDataFrame(rows, IDENTITY_DECISION.schema)

    def pairs(self, spark: SparkSession) -> DataFrame:
        """Every pair that was ever decided: record_key_l, record_key_r, is_same; null if the decision does not apply."""
        applied = {d.pair: d.is_same for d in self.applied}
        return spark.createDataFrame([(*d.pair, applied.get(d.pair)) for d in self.newest], DECIDED)


def must_or_cannot(ctx: JobContext, known: DataFrame) -> tuple[DataFrame, Decided]:
    """Pairs that must be linked or must not be, with all decisions; problems are logged.

    Args:
        ctx: the context of the stage.
        known: record_key of every record of the lake.

    Returns:
        record_key_l, record_key_r, is_same of each decision that applies; and the decisions.
    """
    decided, path = load_decisions(ctx, known), ctx.settings.resolve.decisions
    if path is not None and not decision_files(path):
        ctx.log.info(
            "resolve: %s: there is no file of decisions yet. Check resolve.decisions if you have made some.", path
        )
    for problem in decided.problems[:_MAX_LOGGED]:
        ctx.log.warning("resolve: %s", problem)
    if (num_more := len(decided.problems) - _MAX_LOGGED) > 0:
        ctx.log.warning("resolve: %d more problems in the files of resolve.decisions", num_more)
    return decided.pairs(ctx.spark).where("is_same IS NOT NULL"), decided


def load_decisions(ctx: JobContext, known: DataFrame) -> Decided:
    """Read the files and the table, and settle them.

    Decisions about records that do not exist are left out: an erased person leaves no decision behind.
    """
    path = ctx.settings.resolve.decisions
    files = read_decisions(path, zone=ctx.settings.company.time_zone, now=ctx.started_at)
    decisions = [*remembered(ctx.tables), *files.decisions]
    existing = _existing({key for decision in decisions for key in decision.pair}, known)
    problems = list(files.problems)
    problems += [
        f"{decision.origin}: a record does not exist. Compare system and id with silver.person (a spreadsheet may have removed "
        "leading zeros), or remove the line if the person was erased. This decision is not applied."
        for decision in files.decisions
        if not existing.issuperset(decision.pair)
    ]
    newest, applied, contradictions = settled(d for d in decisions if existing.issuperset(d.pair))
    return Decided(newest, applied, (*problems, *contradictions))


def remembered(tables: TableStore) -> list[Decision]:
    """The decisions in `gold.identity_decision`, in a fixed order."""
    rows = tables.read(IDENTITY_DECISION).orderBy(*IDENTITY_DECISION.grain).collect()  # made by hand
    return [
        Decision(
            *(row["system"], row["person_id"], row["other_system"], row["other_person_id"]),
            is_same=row["is_same_person"],
            decided_at=row["decided_at"],
            decided_by=row["decided_by"],
            note=row["note"],
            sample=row["sample"],
            origin=_TABLE,
        )
        for row in rows
    ]


def _existing(keys: set[str], known: DataFrame) -> set[str]:
    if not keys:
        return set()
    asked = known.sparkSession.createDataFrame([(key,) for key in sorted(keys)], "record_key string")
    return {row["record_key"] for row in known.join(asked, "record_key", "left_semi").distinct().collect()}


def settled(
    decisions: Iterable[Decision],
) -> tuple[tuple[Decision, ...], tuple[Decision, ...], tuple[str, ...]]:
    """The newest decision of each pair, those that apply, and a message for each that contradicts newer ones.

    Of decisions at the same time the later one of the sequence is newer.
    """
    in_order = sorted(decisions, key=lambda d: d.decided_at)  # stable
    by_pair = {decision.pair: decision for decision in in_order}
    rank = {decision.pair: i for i, decision in enumerate(in_order)}
    newest_first = sorted(by_pair.values(), key=lambda d: -rank[d.pair])
    graph, applied, problems = _Consistent(), [], []
    for decision in newest_first:
        if decision.is_same is None:
            continue
        if reasons := graph.contradicted_by(decision):
            problems.append(_contradiction(decision, reasons))
        else:
            graph.add(decision)
            applied.append(decision)
    return (
        tuple(sorted(by_pair.values(), key=lambda d: d.pair)),
        tuple(sorted(applied, key=lambda d: d.pair)),
        tuple(problems),
    )


@dataclass
class _Consistent:
    """Decisions without contradiction: clusters of records that are one person, and records that differ."""

    same: dict[str, dict[str, Decision]] = field(default_factory=dict)
    different: dict[str, dict[str, Decision]] = field(default_factory=dict)

    def add(self, decision: Decision) -> None:
        """Add a decision that contradicts none."""
        left, right = decision.pair
        edges = self.same if decision.is_same else self.different
        edges.setdefault(left, {})[right] = decision
        edges.setdefault(right, {})[left] = decision

    def contradicted_by(self, decision: Decision) -> list[Decision]:
        """Added decisions from which the opposite follows; empty if it does not."""
        left, right = decision.pair
        from_left = self._reached(left)
        if not decision.is_same:
            return _path(from_left, right) if right in from_left else []
        from_right = self._reached(right)
        for record in from_left:
            for other, obstacle in self.different.get(record, {}).items():
                if other in from_right:
                    return [*_path(from_left, record), obstacle, *_path(from_right, other)]
        return []

    def _reached(self, start: str) -> Mapping[str, tuple[str, Decision] | None]:
        """Records of the same person, each with the decision by which it was reached."""
        found: dict[str, tuple[str, Decision] | None] = {start: None}
        waiting = deque([start])
        while waiting:
            record = waiting.popleft()
            for other, decision in self.same.get(record, {}).items():
                if other not in found:
                    found[other] = (record, decision)
                    waiting.append(other)
        return found


def _path(reached: Mapping[str, tuple[str, Decision] | None], end: str) -> list[Decision]:
    path = []
    while (step := reached[end]) is not None:
        end, decision = step
        path.append(decision)
    return path[::-1]


def _contradiction(decision: Decision, reasons: Sequence[Decision]) -> str:
    word, opposite = ("same", "different people") if decision.is_same else ("different", "one person")
    where = "; ".join(dict.fromkeys(reason.origin for reason in reasons))
    return (
        f"{decision.origin}: `{word}` contradicts newer decisions, by which the records are {opposite} ({where}). It is not "
        "applied. Decide the pair again, or undo one of the others."
    )


def decisions_digest(path: str | None) -> str | None:
    """Digest of the content of the files, for the inputs of the stage; None without files."""
    files = decision_files(path)
    if not files:
        return None
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        digest.update(f"{file.name}:{len(content)}:".encode() + content)
    return digest.hexdigest()


def in_force(path: str | None, tables: TableStore, *, zone: str, now: datetime) -> tuple[Decision, ...]:
    """Newest decision of each pair in the files and the table, also of records that do not exist."""
    newest, _, _ = settled([*remembered(tables), *read_decisions(path, zone=zone, now=now).decisions])
    return newest
