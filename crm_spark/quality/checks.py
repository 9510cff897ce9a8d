"""The checks a rule can name: `column, params -> Column` that is true where the value fails, null where it is unknown.

A check is found by name, takes typed parameters and builds a Column; no text of a configuration is ever evaluated.
"""

from collections.abc import Callable

from pyspark.sql import Column
from pyspark.sql import functions as F

Parameter = str | float | int | bool | list[str] | list[float]
Check = Callable[[Column, dict[str, Parameter]], Column]

CHECKS: dict[str, Check] = {}
"""By name."""


def check(function: Check) -> Check:
    """Makes a check known under its function's name."""
    CHECKS[function.__name__] = function
    return function


@check
def greater_than(value: Column, params: dict[str, Parameter]) -> Column:
    """Fails where the value is at most `bound`."""
    return value <= F.lit(params["bound"])


@check
def at_least(value: Column, params: dict[str, Parameter]) -> Column:
    """Fails where the value is below `bound`."""
    return value < F.lit(params["bound"])


@check
def at_most(value: Column, params: dict[str, Parameter]) -> Column:
    """Fails where the value is above `bound`."""
    return value > F.lit(params["bound"])


@check
def one_of(value: Column, params: dict[str, Parameter]) -> Column:
    """Fails where the value is none of `values`."""
    values = params["values"]
    assert isinstance(values, list)
    return ~value.isin(*values)


@check
def none_of(value: Column, params: dict[str, Parameter]) -> Column:
    """Fails where the value is one of `values`."""
    values = params["values"]
    assert isinstance(values, list)
    return value.isin(*values)


@check
def matches(value: Column, params: dict[str, Parameter]) -> Column:
    """Fails where `pattern` is not found in the value."""
    return ~value.rlike(str(params["pattern"]))


@check
def not_after_arrival(value: Column, params: dict[str, Parameter]) -> Column:
    """Fails where the time is more than `days` after the record arrived: the future cannot have been recorded."""
    return value > F.col("_arrived_at") + F.make_dt_interval(F.lit(int(str(params.get("days", 1)))))


@check
def not_before(value: Column, params: dict[str, Parameter]) -> Column:
    """Fails where the time is before the day `day` (ISO)."""
    return value < F.lit(str(params["day"])).cast("timestamp")
