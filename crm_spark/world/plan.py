"""What is to be generated: deliveries x blocks of customers. Inspectable before anything is written."""

from dataclasses import dataclass
from datetime import date

from crm_spark.world.spec import WorldSpec


@dataclass(frozen=True)
class Task:
    """One block of customers in one delivery: the days `first` to `last - 1` of the world."""

    drop: int
    block: int
    first: int
    last: int
    folder: str


def drop_days(spec: WorldSpec, drop: int) -> range:
    """The days of the world in a delivery: the whole history in the first, one day in each of the others."""
    if drop == 0:
        return range(spec.history_days)
    return range(spec.history_days + drop - 1, spec.history_days + drop)


def drop_on(spec: WorldSpec, drop: int) -> date:
    """The date of a delivery: the day after the last one in it."""
    return spec.day_on(drop_days(spec, drop).stop)


def plan(spec: WorldSpec) -> list[Task]:
    """Every task, in order of delivery and block."""
    drops = range(spec.from_day, spec.days + 1)
    return [
        Task(drop, block, drop_days(spec, drop).start, drop_days(spec, drop).stop, str(drop_on(spec, drop)))
        for drop in drops
        for block in range(spec.num_blocks)
    ]
