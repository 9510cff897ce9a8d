"""Plan the generation tasks: deliveries x blocks of customers."""

from dataclasses import dataclass
from datetime import date

from crm_spark.world.spec import WorldSpec


@dataclass(frozen=True)
class Task:
    """One block of customers in one delivery: days `first` to `last - 1` of the simulation."""

    drop: int
    block: int
    first: int
    last: int
    folder: str


def drop_days(spec: WorldSpec, drop: int) -> range:
    """Simulation days of a delivery: the whole history in the first, one day in each of the others."""
    if drop == 0:
        return range(spec.history_days)
    return range(spec.history_days + drop - 1, spec.history_days + drop)


def drop_on(spec: WorldSpec, drop: int) -> date:
    """Date of a delivery: the day after its last simulation day."""
    return spec.day_on(drop_days(spec, drop).stop)


def plan(spec: WorldSpec) -> list[Task]:
    """All tasks, ordered by delivery and block."""
    drops = range(spec.from_day, spec.days + 1)
    return [
        Task(drop, block, drop_days(spec, drop).start, drop_days(spec, drop).stop, str(drop_on(spec, drop)))
        for drop in drops
        for block in range(spec.num_blocks)
    ]
