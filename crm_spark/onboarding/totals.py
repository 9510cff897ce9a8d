"""Find lines of totals among the records of an unknown file: a label such as `Total`, and a number that is the sum of its column."""

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.bronze_columns import decoded

_MAX_LINES = 200
_MAX_SHARE = 0.5
"""Maximum share of lines of totals: one after each record."""
_MAX_LEVELS = 3
"""Levels of totals: of a group, of groups, of everything."""
_TOLERANCE = 0.011
_NO_LETTER = r"[^\p{L}\p{N}]*"


@dataclass(frozen=True)
class Totals:
    """Lines of totals.

    Attributes:
        column: column with the label.
        matches: regular expression of the labels.
        summed: columns whose sums the lines contain.
        num_lines: number of lines.
    """

    column: str
    matches: str
    summed: tuple[str, ...]
    num_lines: int

    @property
    def condition(self) -> dict[str, str]:
        """Condition of a feed's `leave_out`."""
        return {"column": self.column, "matches": self.matches}


def totals_in(records: DataFrame, words: Iterable[str]) -> Totals | None:
    """Lines of totals among records; None without the evidence of a label and a sum.

    Args:
        records: records of a table.
        words: words of labels, in lower case.
    """
    names = [name for name in records.columns if not name.startswith("_")]
    alternatives = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    loose = rf"(?iu)^{_NO_LETTER}(?:{alternatives})(?!\p{{L}})"
    is_label = [F.coalesce(_cell(name).rlike(loose), F.lit(False)) for name in names]
    chosen = records.where(F.exists(F.array(*is_label), lambda hit: hit)).select(*(_cell(name) for name in names))
    lines = chosen.limit(_MAX_LINES + 1).collect() if names else []
    if not lines or len(lines) > _MAX_LINES:
        return None
    # A label may be a whole cell, or begin one: `Total` and `Total for June`.
    for ending in (rf"{_NO_LETTER}$", r"(?!\p{L})"):
        seen = Counter[int]()
        spelled: dict[int, set[str]] = {}
        for line in lines:
            for at, text in enumerate(line):
                word = _label(text or "", words, is_whole=ending.endswith("$"))
                if word is not None:
                    seen[at] += 1
                    spelled.setdefault(at, set()).add(word)
                    break
        for at, _ in seen.most_common(2):
            matches = rf"(?iu)^{_NO_LETTER}(?:{'|'.join(sorted(map(re.escape, spelled[at])))}){ending}"
            if found := _with_evidence(records, names, at, matches):
                return found
    return None


def without_totals(records: DataFrame, totals: Totals | None) -> DataFrame:
    """Records without the lines of totals."""
    if totals is None:
        return records
    name = next((name for name in records.columns if decoded(name) == totals.column), None)
    return records if name is None else records.where(~_is_total(name, totals.matches))


def _label(text: str, words: Iterable[str], *, is_whole: bool) -> str | None:
    """The longest word that a cell begins with or, if `is_whole`, consists of."""
    bare = re.sub(r"^[\W_]+", "", text.lower())
    for word in sorted(words, key=len, reverse=True):
        rest = bare[len(word) :]
        if bare.startswith(word) and (not re.search(r"[^\W_]", rest) if is_whole else not rest[:1].isalpha()):
            return word
    return None


def _with_evidence(records: DataFrame, names: list[str], at: int, matches: str) -> Totals | None:
    """Totals if the numbers of the matching lines add up to the sums of the others, on one to three levels."""
    is_total = _is_total(names[at], matches)
    others = [name for i, name in enumerate(names) if i != at]
    sums = [
        F.sum(F.when(is_total == flag, number)).alias(f"{style}{flag}{i}")
        for i, name in enumerate(others)
        for style, number in _numbers(name).items()
        for flag in (True, False)
    ]
    counts = (F.count(F.lit(1)).alias("n"), F.count_if(is_total).alias("totals"))
    row = records.agg(*counts, *sums).first()
    assert row is not None
    if not 0 < row["totals"] <= _MAX_SHARE * row["n"]:
        return None
    summed = [
        decoded(name)
        for i, name in enumerate(others)
        if any(_adds_up(row[f"{style}True{i}"], row[f"{style}False{i}"]) for style in ("point", "comma"))
    ]
    return Totals(decoded(names[at]), matches, tuple(summed), row["totals"]) if summed else None


def _adds_up(totals: float | None, others: float | None) -> bool:
    if totals is None or not others:
        return False
    return any(abs(totals - level * others) <= _TOLERANCE * level for level in range(1, _MAX_LEVELS + 1))


def _numbers(name: str) -> dict[str, Column]:
    """A cell as a number, with a decimal point and with a decimal comma."""
    bare = F.regexp_replace(_cell(name), r"[\p{Sc}\s\u00a0']|^[A-Z]{3}|[A-Z]{3}$", "")
    comma = F.translate(F.translate(bare, ".", ""), ",", ".")
    return {"point": F.translate(bare, ",", "").try_cast("double"), "comma": comma.try_cast("double")}


def _is_total(name: str, matches: str) -> Column:
    return F.coalesce(_cell(name).rlike(matches), F.lit(False))


def _cell(name: str) -> Column:
    return F.trim(F.col(f"`{name}`"))
