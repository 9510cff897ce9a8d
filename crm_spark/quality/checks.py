"""The checks a rule can name: Columns that are true where a value fails, false where it holds, null where it is unknown.

A check is found by name and takes parameters of declared types; no text of a configuration is ever evaluated.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

Parameter = str | float | int | bool | list[str] | list[float]
FOUND = "_found_{}"
"""Column that says whether the value of a rule's column stands in the table the rule refers to."""


@dataclass(frozen=True)
class Check:
    """A check and the parameters it takes.

    Attributes:
        failed: value and parameters -> Column; a parameter that names a column comes as that Column.
        params: the parameters, all of which must be given, and their types.
        columns: those of them that name a column of the same entity.
    """

    failed: Callable[..., Column]
    params: dict[str, type | tuple[type, ...]]
    columns: frozenset[str] = field(default_factory=frozenset)

    def problem(self, params: dict[str, Parameter], columns: tuple[str, ...]) -> str | None:
        """What is wrong with a rule's parameters, in words."""
        if set(params) != set(self.params):
            return f"wanted the parameters {sorted(self.params)}, got {sorted(params)}"
        for name, wanted in self.params.items():
            value = params[name]
            if not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool):
                return f"params.{name}: {value!r} has the wrong type"
            if name in self.columns and value not in columns:
                return f"params.{name}: no such column {value}"
            if name == "pattern":
                try:
                    re.compile(str(value))
                except re.error as error:
                    return f"params.pattern: {error}"
            if name == "day" and not _is_day(str(value)):
                return f"params.day: wanted a day such as 2025-01-31, got {value!r}"
        return None


def _is_day(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


CHECKS: dict[str, Check] = {}
"""By name."""
NUMBER = (int, float)


def check(*columns: str, **params: Any) -> Callable[[Callable[..., Column]], Callable[..., Column]]:
    """Makes a check known under its function's name; `columns` are the parameters that name one."""

    def register(function: Callable[..., Column]) -> Callable[..., Column]:
        CHECKS[function.__name__] = Check(function, {**params, **dict.fromkeys(columns, str)}, frozenset(columns))
        return function

    return register


@check(bound=NUMBER)
def greater_than(value: Column, bound: float) -> Column:
    """Fails where the value is at most `bound`."""
    return value <= F.lit(bound)


@check(bound=NUMBER)
def less_than(value: Column, bound: float) -> Column:
    """Fails where the value is at least `bound`."""
    return value >= F.lit(bound)


@check(bound=NUMBER)
def at_least(value: Column, bound: float) -> Column:
    """Fails where the value is below `bound`."""
    return value < F.lit(bound)


@check(bound=NUMBER)
def at_most(value: Column, bound: float) -> Column:
    """Fails where the value is above `bound`."""
    return value > F.lit(bound)


@check(low=NUMBER, high=NUMBER)
def between(value: Column, low: float, high: float) -> Column:
    """Fails where the value is outside `low` to `high`, both allowed."""
    return ~value.between(F.lit(low), F.lit(high))


@check(values=list)
def one_of(value: Column, values: list[str] | list[float]) -> Column:
    """Fails where the value is none of `values`."""
    return ~value.isin(*values)


@check(values=list)
def none_of(value: Column, values: list[str] | list[float]) -> Column:
    """Fails where the value is one of `values`."""
    return value.isin(*values)


@check(pattern=str)
def matches(value: Column, pattern: str) -> Column:
    """Fails where `pattern` is not found in the value."""
    return ~value.rlike(pattern)


@check(characters=int)
def no_longer_than(value: Column, characters: int) -> Column:
    """Fails where the text has more than `characters` characters."""
    return F.length(value) > F.lit(characters)


@check(days=int)
def not_after_arrival(value: Column, days: int) -> Column:
    """Fails where the time is more than `days` after the record arrived: the future cannot have been recorded."""
    return value > F.col("_arrived_at") + F.make_dt_interval(F.lit(days))


@check(day=str)
def not_before(value: Column, day: str) -> Column:
    """Fails where the time is before the day `day` (ISO)."""
    return value < F.lit(day).cast("timestamp")


@check("other")
def not_before_column(value: Column, other: Column) -> Column:
    """Fails where the value is below that of the column `other`: an end before its beginning."""
    return value < other


@check("factor", "product", tolerance=NUMBER)
def times_is(value: Column, factor: Column, product: Column, tolerance: float) -> Column:
    """Fails where value x `factor` is further than `tolerance` from `product`."""
    return F.abs(value.cast("double") * factor.cast("double") - product.cast("double")) > F.lit(tolerance)


@check(entity=str, key=str)
def exists_in(value: Column, entity: str, key: str) -> Column:
    """Fails where no record of `entity` in the same system has the value as its `key`; a join, however many there are."""
    return F.when(value.isNotNull(), F.col(FOUND.format(f"{entity}_{key}")).isNull())
