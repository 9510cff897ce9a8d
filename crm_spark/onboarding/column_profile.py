"""What a file nobody has described yet looks like: what each column seems to hold."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.bronze_columns import decoded

MOST_WORDS = 20
_NUM_FIRST, _LONGEST = 1_000, 100
MOSTLY = 0.95
"""A column is of a kind when so many of its values are."""

_SIGN = r"([A-Z]{3} ?|[€$£¥] ?)?"
_SIGN_BEHIND = r"( ?[A-Z]{3}| ?[€$£¥])?"
_DAY, _MONTH, _YEAR = r"(0[1-9]|[12]\d|3[01])", r"(0[1-9]|1[0-2])", r"\d{4}"
_LOOSE_DAY, _LOOSE_MONTH = r"(0?[1-9]|[12]\d|3[01])", r"(0?[1-9]|1[0-2])"
_HOUR_OF_12 = r"(0?[1-9]|1[0-2])"
_CLOCKS = {"": "", " HH:mm": r" \d{2}:\d{2}", " HH:mm:ss": r" \d{2}:\d{2}:\d{2}"}
_LOOSE_CLOCKS = {
    "": "",
    " H:mm": r" \d{1,2}:\d{2}",
    " H:mm:ss": r" \d{1,2}:\d{2}:\d{2}",
    " h:mm a": rf" {_HOUR_OF_12}:\d{{2}} [AaPp][Mm]",
    " h:mm:ss a": rf" {_HOUR_OF_12}:\d{{2}}:\d{{2}} [AaPp][Mm]",
}
_ORDERS = (("dd", "MM", "."), ("dd", "MM", "/"), ("MM", "dd", "/"), ("dd", "MM", "-"))


def _dates() -> dict[str, str]:
    """Days, months and years in each order: two digits and a clock of two digits first, then one digit or two."""
    strict, loose = {"dd": _DAY, "MM": _MONTH}, {"dd": _LOOSE_DAY, "MM": _LOOSE_MONTH}
    found = {
        f"{first}{sign}{second}{sign}yyyy{clock}": rf"^{strict[first]}\{sign}{strict[second]}\{sign}{_YEAR}{digits}$"
        for first, second, sign in _ORDERS
        for clock, digits in _CLOCKS.items()
    }
    found |= {
        f"{first[0]}{sign}{second[0]}{sign}yyyy{clock}": rf"^{loose[first]}\{sign}{loose[second]}\{sign}{_YEAR}{digits}$"
        for first, second, sign in _ORDERS
        for clock, digits in _LOOSE_CLOCKS.items()
    }
    return found | {
        f"{first}{sign}{second}{sign}yy": rf"^{strict[first]}\{sign}{strict[second]}\{sign}\d{{2}}$"
        for first, second, sign in _ORDERS
    }


PATTERNS = {
    "integer": r"^[+-]?\d{1,18}$",
    "whole_fraction": r"^[+-]?\d+\.0$",
    "decimal_point": rf"^{_SIGN}[+-]?(\d+|\d{{1,3}}(,\d{{3}})+)\.\d+{_SIGN_BEHIND}$",
    "decimal_comma": rf"^{_SIGN}[+-]?(\d+|\d{{1,3}}(\.\d{{3}})+),\d+{_SIGN_BEHIND}$",
    "iso": r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?)?(Z|[+-]\d{2}:?\d{2})?$",
    "with_zone": r"^\d{4}-\d{2}-\d{2}[T ].*(Z|[+-]\d{2}:?\d{2})$",
    **_dates(),
    "yyyy/MM/dd": r"^\d{4}/(0[1-9]|1[0-2])/\d{2}$",
    "yyyy/MM/dd HH:mm:ss": r"^\d{4}/(0[1-9]|1[0-2])/\d{2} \d{2}:\d{2}:\d{2}$",
    "yyyyMMdd": r"^(19|20)\d{2}(0[1-9]|1[0-2])([0-2]\d|3[01])$",
    "d MMM yyyy": r"^\d{1,2} [A-Z][a-z]{2} \d{4}$",
    "MMM d, yyyy": r"^[A-Z][a-z]{2} \d{1,2}, \d{4}$",
    "epoch_milliseconds": r"^1[0-9]{12}$",
    "epoch_seconds": r"^1[0-9]{9}$",
    "email": r"^[^@\s]+@[^@\s]+\.[A-Za-z]{2,}$",
    "phone": r"^(?!\d{1,2}[./-]\d{1,2}[./-]\d{2,4}\b)(\+|00|0)[\d ()/.-]{6,18}$",
    "iban": r"^[A-Z]{2}\d{2}( ?[A-Z0-9]{4}){3,7}( ?[A-Z0-9]{1,4})?$",
    "yes_no": r"(?i)^(true|false|yes|no|y|n|ja|nein|j|oui|non|sí|sì|si|sim|não|nee|tak|nie|да|нет)$",
    "leading_zero": r"^0\d+$",
}
DATES = ("iso", *(name for name in PATTERNS if "yy" in name), "epoch_milliseconds", "epoch_seconds")
NUMBERS = ("integer", "decimal_point", "decimal_comma")
PERSONAL = ("email", "phone", "iban")
_ALWAYS = (*NUMBERS, *PERSONAL, "leading_zero", "whole_fraction", "with_zone")
_BLANK = ("", "n/a", "na", "null", "none", "unknown", "-", "nan")


@dataclass(frozen=True)
class ColumnProfile:
    """A column in sum; no value of it is kept but the bounds of numbers.

    Attributes:
        name: as the source spells it.
        num_rows: records looked at.
        num_blank: empty, or spelled as one of the usual words for `none`.
        num_distinct: about how many values.
        max_length: characters of the longest.
        fractions: of the values that are not blank, how many look like each pattern.
        low: the smallest, where the column holds numbers.
        high: the largest.
    """

    name: str
    num_rows: int
    num_blank: int
    num_distinct: int
    max_length: int
    fractions: dict[str, float]
    low: float | None = None
    high: float | None = None

    def is_mostly(self, *patterns: str) -> bool:
        """Whether nearly all values look like one of the patterns."""
        return sum(self.fractions.get(name, 0.0) for name in patterns) >= MOSTLY

    @property
    def kind(self) -> str:
        """What it seems to hold: a date's format, a number, digits that are none, email, phone, iban, yes_no, or text."""
        if self.is_mostly("integer") and self.fractions.get("leading_zero") and not self.is_mostly("phone"):
            return "digits"
        for names in (PERSONAL, DATES, NUMBERS, ("yes_no",)):
            best = max(names, key=lambda name: self.fractions.get(name, 0.0))
            if self.fractions.get(best, 0.0) >= MOSTLY:
                return best
        if self.is_mostly("integer", "decimal_point"):
            return "decimal_point"
        return "decimal_comma" if self.is_mostly("integer", "decimal_comma") else "text"

    @property
    def exceptions(self) -> str:
        """How many values are of another kind than the column; of a text, how many look like something else."""
        num_said = self.num_rows - self.num_blank
        if self.kind == "text":
            best = max((*PERSONAL, *DATES, *NUMBERS), key=lambda name: self.fractions.get(name, 0.0))
            found = round(self.fractions.get(best, 0.0) * num_said)
            return f"{found} of {num_said} are {best}" if self.fractions.get(best, 0.0) > 0.2 else ""
        kinds = {"decimal_comma": ("integer", "decimal_comma"), "decimal_point": ("integer", "decimal_point")}
        names = kinds.get(self.kind, ("integer",) if self.kind == "digits" else (self.kind,))
        others = num_said - round(sum(self.fractions.get(name, 0.0) for name in names) * num_said)
        return f"{others} of {num_said} are not" if others > 0 else ""

    @property
    def looks_personal(self) -> bool:
        """Whether some of its values are addresses of people, or numbers they are called or paid at."""
        return any(self.fractions.get(name, 0.0) > 0.2 for name in ("email", "iban")) or self.is_mostly("phone")

    @property
    def is_ambiguous(self) -> bool:
        """Whether days and months could be the other way round."""
        return self.twin is not None and self.is_mostly(self.twin)

    @property
    def twin(self) -> str | None:
        """The date's format with day and month the other way round, where that is one that people write."""
        other = re.sub("^(dd?|MM?)/(dd?|MM?)/", r"\2/\1/", self.kind)
        return other if other != self.kind else None

    @property
    def has_no_zone(self) -> bool:
        """Whether it holds wall-clock times, or days, that do not say of which zone."""
        is_instant = self.kind.startswith("epoch") or self.is_mostly("with_zone")
        return self.kind in DATES and not is_instant

    @property
    def is_whole_fraction(self) -> bool:
        """Whether a program took the digits for fractions on their way: 17850.0."""
        return self.fractions.get("whole_fraction", 0.0) > 0.5

    @property
    def may_be_key(self) -> bool:
        """Whether no record lacks it and no two seem to share one."""
        is_code = self.kind in ("integer", "digits", "text") or self.is_whole_fraction
        return is_code and self.num_blank == 0 and self.num_rows > 0 and self.num_distinct >= 0.97 * self.num_rows


def profiled(records: DataFrame) -> list[ColumnProfile]:
    """Every column of a source's records, all as text, in one pass; the first ones tell which patterns are worth it."""
    names = [name for name in records.columns if not name.startswith("_")]
    cells = [F.substring(F.trim(F.col(f"`{name}`")), 1, _LONGEST) for name in names]
    first = records.select(*cells).limit(_NUM_FIRST).collect()
    patterns = {name: _worth_a_look([row[i] for row in first]) for i, name in enumerate(names)}
    return with_days_told(_summed(records, patterns))


def _worth_a_look(values: Sequence[str | None]) -> tuple[str, ...]:
    """The patterns that some of these have, and those that a few others may; all where there is no value."""
    said = {value for value in values if value is not None and value.lower() not in _BLANK}
    if not said:
        return tuple(PATTERNS)
    return tuple(
        name
        for name, pattern in PATTERNS.items()
        if name in _ALWAYS or any(re.search(pattern, value, re.ASCII) for value in said)
    )


def _summed(records: DataFrame, patterns: Mapping[str, Sequence[str]]) -> list[ColumnProfile]:
    """The columns by name, as far as these patterns tell, in one pass."""
    # Aggregates of this kind are interpreted, each by itself: what all of them use is made once, by a step of its own.
    said = records.select(*(_said(name).alias(f"s{i}") for i, name in enumerate(patterns)))
    measures = [_measures(i, wanted) for i, wanted in enumerate(patterns.values())]
    row = said.agg(F.count(F.lit(1)).alias("n"), *measures).first()
    assert row is not None
    return [_profile(name, row["n"], row[f"c{i}"].asDict(), patterns[name]) for i, name in enumerate(patterns)]


def with_days_told(profiles: list[ColumnProfile]) -> list[ColumnProfile]:
    """The same; where one date tells whether day or month comes first, it tells it for the others of its file."""
    told = {p.kind[0].lower() for p in profiles if p.twin is not None and not p.is_ambiguous}
    if len(told) != 1:
        return profiles
    (first,) = told

    def settled(profile: ColumnProfile) -> ColumnProfile:
        others = {name for name in DATES if "/" in name and name[0].lower() not in (first, "y")}
        return replace(profile, fractions={p: f for p, f in profile.fractions.items() if p not in others})

    return [settled(profile) if profile.is_ambiguous else profile for profile in profiles]


def words_of(records: DataFrame, name: str) -> list[str]:
    """The values of a column that has few, most frequent first; none where it has more than MOST_WORDS."""
    said = records.select(F.trim(_column(records, name)).alias("said")).where("said <> ''")
    rows = said.groupBy("said").count().orderBy(F.desc("count"), "said").limit(MOST_WORDS + 1).collect()
    return [row["said"] for row in rows] if len(rows) <= MOST_WORDS else []


def num_divided(records: DataFrame, key: str, name: str) -> int:
    """Of how many keys the records do not agree in a column."""
    values = records.groupBy(_column(records, key)).agg(F.count_distinct(F.trim(_column(records, name))).alias("n"))
    return values.where("n > 1").count()


def _column(records: DataFrame, name: str) -> Column:
    """A column by the name that its source gives it."""
    return F.col(next(f"`{column}`" for column in records.columns if decoded(column) == name))


def _said(name: str) -> Column:
    """The cell, where it is not blank."""
    text = F.trim(F.col(f"`{name}`"))
    return F.when(~(text.isNull() | F.lower(text).isin(*_BLANK)), text)


def _measures(position: int, patterns: Sequence[str]) -> Column:
    said = F.col(f"s{position}")
    plain = F.regexp_replace(said, r"[,'\p{Sc} ]", "").try_cast("double")
    counts = [F.count(F.when(said.rlike(PATTERNS[p]), 1)).alias(p) for p in patterns]
    return F.struct(
        F.count_if(said.isNull()).alias("blank"),
        F.approx_count_distinct(said, 0.01).alias("distinct"),
        F.coalesce(F.max(F.length(said)), F.lit(0)).alias("length"),
        F.min(plain).alias("low"),
        F.max(plain).alias("high"),
        *counts,
    ).alias(f"c{position}")


def _profile(name: str, num_rows: int, found: dict[str, float], patterns: Sequence[str]) -> ColumnProfile:
    num_said = num_rows - int(found["blank"])
    fractions = {p: found[p] / num_said if num_said else 0.0 for p in patterns}
    profile = ColumnProfile(
        decoded(name), num_rows, int(found["blank"]), int(found["distinct"]), int(found["length"]), fractions
    )
    if profile.kind in ("integer", "decimal_point"):
        return replace(profile, low=found["low"], high=found["high"])
    return profile
