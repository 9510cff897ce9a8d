"""What a synthetic company is: size, time, dirt. No Spark here."""

from datetime import date, timedelta
from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config

Fraction = Annotated[float, Field(ge=0, le=0.5)]


class WorldSpec(Config):
    """A company that is the same whenever and wherever it is generated: everything is a hash of seed and place."""

    customers: Annotated[int, Field(ge=1_000, le=10_000_000)] = 2_000
    """People who are or will be customers."""
    start_on: date = date(2024, 1, 1)
    """First day of the history."""
    history_days: Annotated[int, Field(ge=200, le=3650)] = 540
    """Days in the first delivery; it comes on the day after the last of them."""
    days: Annotated[int, Field(ge=0, le=3650)] = 3
    """Daily deliveries after the first."""
    from_day: Annotated[int, Field(ge=0)] = 0
    """First delivery to write: 0 is the history, 1 the first daily one."""
    seed: Annotated[int, Field(ge=1)] = 7
    block: Annotated[int, Field(ge=500)] = 25_000
    """Customers a task makes at a time; part of the files' names, so it belongs to the company and not to the machine."""
    dirty_fraction: Fraction = 0.02
    """Records with exactly one planted fault."""
    duplicate_fraction: Fraction = 0.15
    """Share of the CRM's records that are somebody who is there already."""
    guest_fraction: Fraction = 0.2
    """Share of shop buyers without an account."""
    shift_day: Annotated[int, Field(ge=0)] = 480
    """Day of the history on which behaviour changes: deliveries get slower, one category loses a third of its buyers."""

    @property
    def num_blocks(self) -> int:
        """Blocks of customers."""
        return -(-self.customers // self.block)

    def day_on(self, day: int) -> date:
        """The date of a day of the world, 0 being the first of the history."""
        return self.start_on + timedelta(days=day)
