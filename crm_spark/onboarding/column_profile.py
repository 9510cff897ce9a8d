"""Profile the columns of an unknown file and infer what each one contains."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.bronze_columns import decoded

MAX_VALUES = 20
_NUM_FIRST, _LONGEST = 1_000, 100
MOSTLY = 0.95
"""Minimum fraction of values that must match a pattern to determine the kind of a column."""

ORDER_NUMBER = "order_number"
"""Pattern of order numbers as shops write them."""

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
    """Date patterns by format: day-month orders with two-digit fields first, then one- or two-digit fields."""
    strict, loose = {"dd": _DAY, "MM": _MONTH}, {"dd": _LOOSE_DAY, "MM": _LOOSE_MONTH}
    dates = {
        f"{first}{sign}{second}{sign}yyyy{clock}": rf"^{strict[first]}\{sign}{strict[second]}\{sign}{_YEAR}{digits}$"
        for first, second, sign in _ORDERS
        for clock, digits in _CLOCKS.items()
    }
    dates |= {
        f"{first[0]}{sign}{second[0]}{sign}yyyy{clock}": rf"^{loose[first]}\{sign}{loose[second]}\{sign}{_YEAR}{digits}$"
        for first, second, sign in _ORDERS
        for clock, digits in _LOOSE_CLOCKS.items()
    }
    return dates | {
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
    ORDER_NUMBER: r"^#\d+$",
}
DATES = ("iso", *(name for name in PATTERNS if "yy" in name), "epoch_milliseconds", "epoch_seconds")
NUMBERS = ("integer", "decimal_point", "decimal_comma")
PERSONAL = ("email", "phone", "iban")
_ALWAYS = (*NUMBERS, *PERSONAL, ORDER_NUMBER, "leading_zero", "whole_fraction", "with_zone")
_BLANK = ("", "n/a", "na", "null", "none", "unknown", "-", "nan")


@dataclass(frozen=True)
class ColumnProfile:
    """Statistics of a column; contains no values except numeric bounds.

    Attributes:
        name: column name in the source.
        num_rows: number of records.
        num_blank: number of empty values and common null markers.
        num_distinct: approximate number of distinct values.
        max_length: length of the longest value in characters.
        fractions: fraction of the non-blank values that match each pattern.
        low: minimum of a numeric column.
        high: maximum of a numeric column.
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
        """Whether nearly all values match one of the patterns."""
        return sum(self.fractions.get(name, 0.0) for name in patterns) >= MOSTLY

    @property
    def kind(self) -> str:
        """Inferred kind: date format, number format, digits (leading zeros), email, phone, iban, yes_no or text."""
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
        """Text with the number of values that do not match the kind; for text, of those that match another kind."""
        num_values = self.num_rows - self.num_blank
        if self.kind == "text":
            best = max((*PERSONAL, *DATES, *NUMBERS), key=lambda name: self.fractions.get(name, 0.0))
            num_matches = round(self.fractions.get(best, 0.0) * num_values)
            return f"{num_matches} of {num_values} look like {best}" if self.fractions.get(best, 0.0) > 0.2 else ""
        kinds = {"decimal_comma": ("integer", "decimal_comma"), "decimal_point": ("integer", "decimal_point")}
        names = kinds.get(self.kind, ("integer",) if self.kind == "digits" else (self.kind,))
        others = num_values - round(sum(self.fractions.get(name, 0.0) for name in names) * num_values)
        return f"{others} of {num_values} do not match" if others > 0 else ""

    @property
    def looks_personal(self) -> bool:
        """Whether it contains e-mail addresses, IBANs or phone numbers."""
        return any(self.fractions.get(name, 0.0) > 0.2 for name in ("email", "iban")) or self.is_mostly("phone")

    @property
    def is_ambiguous(self) -> bool:
        """Whether day and month could be swapped."""
        return self.swapped_format is not None and self.is_mostly(self.swapped_format)

    @property
    def swapped_format(self) -> str | None:
        """Date format with day and month swapped, if that is a common format; otherwise None."""
        other = re.sub("^(dd?|MM?)/(dd?|MM?)/", r"\2/\1/", self.kind)
        return other if other != self.kind else None

    @property
    def has_no_zone(self) -> bool:
        """Whether it contains dates or times without a time zone."""
        is_instant = self.kind.startswith("epoch") or self.is_mostly("with_zone")
        return self.kind in DATES and not is_instant

    @property
    def is_whole_fraction(self) -> bool:
        """Whether integers were exported as decimals: 17850.0."""
        return self.fractions.get("whole_fraction", 0.0) > 0.5

    @property
    def may_be_key(self) -> bool:
        """Whether it can be a key: no blanks and (nearly) unique."""
        is_code = self.kind in ("integer", "digits", "text") or self.is_whole_fraction
        return is_code and self.num_blank == 0 and self.num_rows > 0 and self.num_distinct >= 0.97 * self.num_rows


def profiled(records: DataFrame) -> list[ColumnProfile]:
    """Profile all columns in one pass; the first records determine which patterns are tested."""
    names = [name for name in records.columns if not name.startswith("_")]
    cells = [F.substring(F.trim(F.col(f"`{name}`")), 1, _LONGEST) for name in names]
    first = records.select(*cells).limit(_NUM_FIRST).collect()
    is_complete = len(first) < _NUM_FIRST
    patterns = {
        name: _relevant_patterns([r[i] for r in first], is_complete=is_complete) for i, name in enumerate(names)
    }
    return with_day_order(_summed(records, patterns))


def _relevant_patterns(values: Sequence[str | None], *, is_complete: bool) -> tuple[str, ...]:
    """Patterns to test: those that match a sample value plus the required ones; all if later records may have the first value."""
    known = {value for value in values if value is not None and value.lower() not in _BLANK}
    if not known and not is_complete:
        return tuple(PATTERNS)
    return tuple(
        name
        for name, pattern in PATTERNS.items()
        if name in _ALWAYS or any(re.search(pattern, value, re.ASCII) for value in known)
    )


def _summed(records: DataFrame, patterns: Mapping[str, Sequence[str]]) -> list[ColumnProfile]:
    """Profile the columns with these patterns in one pass."""
    # Compute the shared expressions in a separate projection, since these aggregates do not share subexpressions.
    values = records.select(*(_non_blank(name).alias(f"s{i}") for i, name in enumerate(patterns)))
    measures = [_measures(i, names) for i, names in enumerate(patterns.values())]
    row = values.agg(F.count(F.lit(1)).alias("n"), *measures).first()
    assert row is not None
    return [_profile(name, row["n"], row[f"c{i}"].asDict(), patterns[name]) for i, name in enumerate(patterns)]


def with_day_order(profiles: list[ColumnProfile]) -> list[ColumnProfile]:
    """Resolve ambiguous day-month orders from unambiguous date columns of the same file."""
    orders = {p.kind[0].lower() for p in profiles if p.swapped_format is not None and not p.is_ambiguous}
    if len(orders) != 1:
        return profiles
    (first,) = orders

    def resolved(profile: ColumnProfile) -> ColumnProfile:
        others = {name for name in DATES if "/" in name and name[0].lower() not in (first, "y")}
        return replace(profile, fractions={p: f for p, f in profile.fractions.items() if p not in others})

    return [resolved(profile) if profile.is_ambiguous else profile for profile in profiles]


def words_of(records: DataFrame, name: str) -> list[str]:
    """Distinct values by descending frequency; empty if there are more than MAX_VALUES."""
    values = records.select(F.trim(_column(records, name)).alias("value")).where("value <> ''")
    rows = values.groupBy("value").count().orderBy(F.desc("count"), "value").limit(MAX_VALUES + 1).collect()
    return [row["value"] for row in rows] if len(rows) <= MAX_VALUES else []


def num_divided(records: DataFrame, key: str, name: str) -> int:
    """Number of keys with more than one value in a column."""
    values = records.groupBy(_column(records, key)).agg(F.count_distinct(F.trim(_column(records, name))).alias("n"))
    return values.where("n > 1").count()


def _column(records: DataFrame, name: str) -> Column:
    """Column by its source name."""
    return F.col(next(f"`{column}`" for column in records.columns if decoded(column) == name))


def _non_blank(name: str) -> Column:
    """Trimmed value; null if blank."""
    text = F.trim(F.col(f"`{name}`"))
    return F.when(~(text.isNull() | F.lower(text).isin(*_BLANK)), text)


def _measures(position: int, patterns: Sequence[str]) -> Column:
    value = F.col(f"s{position}")
    plain = F.regexp_replace(value, r"[,'\p{Sc} ]", "").try_cast("double")
    counts = [F.count(F.when(value.rlike(PATTERNS[p]), 1)).alias(p) for p in patterns]
    return F.struct(
        F.count_if(value.isNull()).alias("blank"),
        F.approx_count_distinct(value, 0.01).alias("distinct"),
        F.coalesce(F.max(F.length(value)), F.lit(0)).alias("length"),
        F.min(plain).alias("low"),
        F.max(plain).alias("high"),
        *counts,
    ).alias(f"c{position}")


def _profile(name: str, num_rows: int, counts: dict[str, float], patterns: Sequence[str]) -> ColumnProfile:
    num_values = num_rows - int(counts["blank"])
    fractions = {p: counts[p] / num_values if num_values else 0.0 for p in patterns}
    profile = ColumnProfile(
        decoded(name), num_rows, int(counts["blank"]), int(counts["distinct"]), int(counts["length"]), fractions
    )
    if profile.kind in ("integer", "decimal_point"):
        return replace(profile, low=counts["low"], high=counts["high"])
    return profile
