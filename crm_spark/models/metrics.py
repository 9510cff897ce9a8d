"""Measured figures, a model's and its baseline's alike, on their way to ops.metric."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from crm_spark.contracts.ops import METRIC
from crm_spark.core.context import JobContext


@dataclass(frozen=True)
class Measure:
    """A figure: what, of which model, on how many rows."""

    metric: str
    model: str
    value: float
    unit: str
    num_rows: int
    slice: str = "all"
    is_baseline: bool = False


def record(ctx: JobContext, stage: str, measures: Iterable[Measure], *, part: str = "metric") -> None:
    """Writes the figures of a stage as of the run's date; a figure that could not be computed is left out, not zero."""
    rows = [
        (m.metric, stage, m.slice, m.model, ctx.as_of, _told(m.value), m.unit, int(m.num_rows), int(m.is_baseline))
        for m in measures
        if not math.isnan(m.value)
    ]
    if rows:
        frame = ctx.spark.createDataFrame(rows, METRIC.schema)
        ctx.tables.merge(METRIC, frame, batch_id=ctx.batch_id(part), digest=ctx.fingerprint)


def _told(value: float) -> float:
    """Twelve digits: what is behind them differs with the order in which partitions were summed."""
    return float(f"{value:.12g}")
