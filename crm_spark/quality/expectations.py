"""What a delivery as a whole is held to, before any of it reaches silver."""

from statistics import median
from typing import Annotated, Literal

from pydantic import Field, model_validator

from crm_spark.contracts.silver import ENTITIES
from crm_spark.core.config import Config

Measured = Literal[
    "num_rows", "quarantined_fraction", "duplicate_fraction", "null_fraction", "days_old", "rows_against_usual"
]
MIN_PAST = 3
"""So many earlier deliveries are needed before one is unusual."""


class Expectation(Config):
    """A bound on one figure of a delivery: `warn` notes a breach, `block` holds the delivery back.

    The figures: num_rows; quarantined_fraction, duplicate_fraction of the rows; null_fraction of `column`; days_old, the
    days between the newest event and the arrival; rows_against_usual, the rows over the median of the source's
    deliveries before.
    """

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    entity: str
    source: str | None = None
    """The one source it is about; null: every source of the entity."""
    measure: Measured
    column: str | None = None
    at_least: float | None = None
    at_most: float | None = None
    min_rows: Annotated[int, Field(ge=0)] = 20
    """A delivery of fewer rows is not judged; of num_rows every one is."""
    severity: Literal["warn", "block"] = "warn"
    version: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _fits(self) -> "Expectation":
        if self.entity not in ENTITIES:
            raise ValueError(f"no such entity {self.entity}; known: {', '.join(ENTITIES)}")
        if (self.measure == "null_fraction") != (self.column is not None):
            raise ValueError("null_fraction, and nothing else, wants a column")
        if self.column is not None and self.column not in ENTITIES[self.entity].column_names:
            raise ValueError(f"{self.entity} has no column {self.column}")
        if self.at_least is None and self.at_most is None:
            raise ValueError("give at_least, at_most or both")
        return self

    def is_met(self, value: float | None) -> bool:
        """Whether the figure is within its bounds; one that cannot be had is no breach."""
        if value is None:
            return True
        return (self.at_least is None or value >= self.at_least) and (self.at_most is None or value <= self.at_most)

    def applies_to(self, source: str, entity: str, num_rows: int) -> bool:
        """Whether a delivery is judged by it."""
        is_large = self.measure == "num_rows" or num_rows >= self.min_rows
        return entity == self.entity and self.source in (None, source) and is_large


def rows_against_usual(num_rows: int, past: list[int]) -> float | None:
    """Rows over the median of the deliveries before; null while there are too few of them."""
    usual = median(past) if len(past) >= MIN_PAST else 0
    return num_rows / usual if usual else None
