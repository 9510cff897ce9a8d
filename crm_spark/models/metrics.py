"""Metrics of models and baselines, written to ops.metric."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeGuard

from crm_spark.contracts.ops import METRIC
from crm_spark.core.context import JobContext


@dataclass(frozen=True)
class Measure:
    """A metric value of a model on a number of rows; the value is None or NaN if it is unknown."""

    metric: str
    model: str
    value: float | None
    unit: str
    num_rows: int
    slice: str = "all"
    is_baseline: bool = False


def record(ctx: JobContext, stage: str, measures: Iterable[Measure], *, part: str = "metric") -> None:
    """Write the metrics of a stage as of the date of the run; unknown values are left out."""
    rows = [
        (m.metric, stage, m.slice, m.model, ctx.as_of, _rounded(m.value), m.unit, int(m.num_rows), int(m.is_baseline))
        for m in measures
        if is_finite(m.value)
    ]
    if rows:
        frame = ctx.spark.createDataFrame(rows, METRIC.schema)
        ctx.tables.merge(METRIC, frame, batch_id=ctx.batch_id(part), digest=ctx.fingerprint)


def is_finite(value: float | None) -> TypeGuard[float]:
    """Return whether a value is a known, finite number."""
    return value is not None and math.isfinite(value)


def figure(value: float | None, digits: int = 3) -> str:
    """Return a value for a log line; `unknown` if it is."""
    return f"{value:.{digits}f}" if is_finite(value) else "unknown"


def _rounded(value: float) -> float:
    """Round to 12 digits: further digits depend on the order in which partitions are summed."""
    return float(f"{value:.12g}")
