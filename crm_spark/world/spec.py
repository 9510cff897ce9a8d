"""Specification of a synthetic company: size, time range, data faults. No Spark."""

from datetime import date, timedelta
from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config

Fraction = Annotated[float, Field(ge=0, le=0.5)]


class WorldSpec(Config):
    """Specification of a synthetic company; generation is deterministic for a given specification."""

    customers: Annotated[int, Field(ge=1_000, le=10_000_000)] = 2_000
    """Number of customers, including those who join during the simulation."""
    start_on: date = date(2024, 1, 1)
    """First day of the history."""
    history_days: Annotated[int, Field(ge=200, le=3650)] = 540
    """Days covered by the first delivery, which is dated the following day."""
    days: Annotated[int, Field(ge=0, le=3650)] = 3
    """Number of daily deliveries after the first."""
    from_day: Annotated[int, Field(ge=0)] = 0
    """First delivery to write: 0 for the history, 1 for the first daily delivery."""
    seed: Annotated[int, Field(ge=1)] = 7
    """Seed of all random draws."""
    block: Annotated[int, Field(ge=500)] = 25_000
    """Customers per task; affects file names, so it is part of the specification."""
    dirty_fraction: Fraction = 0.02
    """Fraction of records with one injected fault."""
    duplicate_fraction: Fraction = 0.15
    """Fraction of CRM records that are duplicates."""
    guest_fraction: Fraction = 0.2
    """Fraction of shop customers without an account."""
    shift_day: Annotated[int, Field(ge=0)] = 480
    """Day on which behaviour changes: 1.5 times as many tickets, a third fewer orders in one category."""

    @property
    def num_blocks(self) -> int:
        """Number of customer blocks."""
        return -(-self.customers // self.block)

    def day_on(self, day: int) -> date:
        """Date of a simulation day; day 0 is the first day of the history."""
        return self.start_on + timedelta(days=day)
