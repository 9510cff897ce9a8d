"""Expectations on whole deliveries, evaluated before silver is written."""

from statistics import median
from typing import Annotated, Literal

from pydantic import Field, model_validator

from crm_spark.contracts.silver import ENTITIES
from crm_spark.core.config import Config

Measured = Literal[
    "num_rows",
    "quarantined_fraction",
    "duplicate_fraction",
    "null_fraction",
    "unmatched_fraction",
    "days_old",
    "rows_against_usual",
]
_OF_COLUMN = ("null_fraction", "unmatched_fraction")
"""Metrics of one column."""
MIN_PAST = 3
"""Minimum number of earlier deliveries for `rows_against_usual`."""


class Expectation(Config):
    """Bounds on one metric of a delivery: `warn` records a violation, `block` quarantines the whole delivery.

    Metrics: num_rows; quarantined_fraction and duplicate_fraction of the rows; null_fraction of `column`;
    unmatched_fraction: rows whose `column` refers to a record that is not found, of all rows that name one; days_old (days
    from the newest event to the ingest time); rows_against_usual (rows / median rows of the source's earlier deliveries).
    """

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Reason code, stored in ops.finding and, if a delivery is blocked, in ops.quarantine."""
    entity: str
    """Entity to which the expectation applies."""
    source: str | None = None
    """Source to which it applies; null: every source of the entity."""
    measure: Measured
    """Metric of the delivery."""
    column: str | None = None
    """Column of `null_fraction` or `unmatched_fraction`; null for every other metric."""
    at_least: float | None = None
    """Smallest allowed value, in the unit of the metric; null: no lower bound."""
    at_most: float | None = None
    """Largest allowed value, in the unit of the metric; null: no upper bound."""
    min_rows: Annotated[int, Field(ge=0)] = 20
    """Deliveries with fewer rows are not checked, except for num_rows."""
    severity: Literal["warn", "block"] = "warn"
    """Effect of a violation: `warn` records it, `block` quarantines the whole delivery."""
    version: Annotated[int, Field(ge=1)] = 1
    """Version of the expectation; raise it when the meaning changes."""

    @model_validator(mode="after")
    def _check_definition(self) -> "Expectation":
        if self.entity not in ENTITIES:
            raise ValueError(f"unknown entity {self.entity}; expected one of {', '.join(ENTITIES)}")
        if (self.measure in _OF_COLUMN) != (self.column is not None):
            raise ValueError(f"column is required for {' and '.join(_OF_COLUMN)} and not allowed for other measures")
        if self.column is not None and self.column not in ENTITIES[self.entity].column_names:
            raise ValueError(f"{self.entity} has no column {self.column}")
        if self.at_least is None and self.at_most is None:
            raise ValueError("set at_least, at_most or both")
        return self

    def is_met(self, value: float | None) -> bool:
        """Whether the value is within the bounds; true if it is unknown."""
        if value is None:
            return True
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def applies_to(self, source: str, entity: str, num_rows: int) -> bool:
        """Whether the expectation is checked for a delivery."""
        is_large = self.measure == "num_rows" or num_rows >= self.min_rows
        return entity == self.entity and self.source in (None, source) and is_large


def rows_against_usual(num_rows: int, past: list[int]) -> float | None:
    """Rows / median rows of earlier deliveries; None with fewer than MIN_PAST deliveries."""
    usual = median(past) if len(past) >= MIN_PAST else 0
    return num_rows / usual if usual else None
