"""Checks for quality rules. A check returns a Column: true = violated, false = passed, null = unknown.

Checks are registered by name with typed parameters; text from the configuration is never evaluated.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from pyspark.sql import Column
from pyspark.sql import functions as F

from crm_spark.core.patterns import require_pattern

Parameter = str | float | int | bool | list[str] | list[float]
REFERENCE_EXISTS = "_found_{}"
"""Column that is true if the referenced record exists; formatted with `<entity>_<key>`."""


@dataclass(frozen=True)
class Check:
    """A check and its parameters.

    Attributes:
        violation: function of value and parameters that returns a Column; column parameters are passed as Columns.
        params: required parameters and their types.
        columns: parameters that name a column of the same entity.
    """

    violation: Callable[..., Column]
    params: dict[str, type | tuple[type, ...]]
    columns: frozenset[str] = field(default_factory=frozenset)

    def parameter_error(self, params: dict[str, Parameter], columns: tuple[str, ...]) -> str | None:
        """Return an error message for invalid parameters, or None."""
        if set(params) != set(self.params):
            return f"expected parameters {sorted(self.params)}, got {sorted(params)}"
        for name, expected in self.params.items():
            value = params[name]
            if not isinstance(value, expected) or (isinstance(value, bool) and expected is not bool):
                return f"params.{name}: {value!r} has the wrong type"
            if name in self.columns and value not in columns:
                return f"params.{name}: unknown column {value}"
            if name == "pattern":
                try:
                    require_pattern(str(value))
                except ValueError as error:
                    return f"params.pattern: {error}"
            if name == "day" and not _is_iso_date(str(value)):
                return f"params.day: expected an ISO date such as 2025-01-31, got {value!r}"
        return None


def _is_iso_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


CHECKS: dict[str, Check] = {}
"""Registered checks, by name."""
NUMBER = (int, float)


def check(*columns: str, **params: Any) -> Callable[[Callable[..., Column]], Callable[..., Column]]:
    """Register a check under its function name; `columns` lists the parameters that name a column."""

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
    """Fails where the value is outside the inclusive range `low` to `high`."""
    return ~value.between(F.lit(low), F.lit(high))


@check(values=list)
def one_of(value: Column, values: list[str] | list[float]) -> Column:
    """Fails where the value is not in `values`."""
    return ~value.isin(*values)


@check(values=list)
def none_of(value: Column, values: list[str] | list[float]) -> Column:
    """Fails where the value is in `values`."""
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
    """Fails where the time is more than `days` days after the record's ingest time."""
    return value > F.col("_arrived_at") + F.make_dt_interval(F.lit(days))


@check(day=str)
def not_before(value: Column, day: str) -> Column:
    """Fails where the time is before the ISO date `day`."""
    return value < F.lit(day).cast("timestamp")


@check("other")
def not_before_column(value: Column, other: Column) -> Column:
    """Fails where the value is less than the column `other`, for example an end before its start."""
    return value < other


@check("factor", "product", tolerance=NUMBER)
def product_equals(value: Column, factor: Column, product: Column, tolerance: float) -> Column:
    """Fails where value x `factor` differs from `product` by more than `tolerance`."""
    return F.abs(value.cast("double") * factor.cast("double") - product.cast("double")) > F.lit(tolerance)


@check(entity=str, key=str)
def exists_in(value: Column, entity: str, key: str) -> Column:
    """Fails where no record of `entity` in the same system has this `key`; evaluated as a join."""
    return F.when(value.isNotNull(), F.col(REFERENCE_EXISTS.format(f"{entity}_{key}")).isNull())
