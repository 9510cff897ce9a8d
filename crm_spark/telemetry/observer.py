"""What is told about a run while it goes on."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from crm_spark.core.log import get_logger

if TYPE_CHECKING:
    from crm_spark.core.contract import TableContract


@dataclass
class StageRun:
    """One stage of a run.

    Attributes:
        run_id: id of the run.
        stage: name of the stage.
        reads: contracts of the tables that the stage reads.
        status: of the result; `failed` if it raised.
        num_rows: of the result.
        seconds: duration.
        writes: rows written by table; a table that is not in `ALL_TABLES` has no columns here.
        error: what it failed with, without data.
    """

    run_id: str
    stage: str
    reads: "tuple[TableContract, ...]" = ()
    status: str = ""
    num_rows: int = 0
    seconds: float = 0.0
    writes: "dict[TableContract, int]" = field(default_factory=dict)
    error: str = ""


class Observer(Protocol):
    """Is notified of the stages of a run, in their order; its own errors are logged and change nothing."""

    def stage_started(self, run: StageRun) -> None:
        """A stage starts; of `run` the id, the stage and what it reads are known."""

    def stage_ended(self, run: StageRun) -> None:
        """A stage has ended, with or without an error, or was up to date."""


@contextmanager
def harmless(what: str) -> Iterator[None]:
    """Log an error of the block instead of raising it."""
    try:
        yield
    except Exception as error:  # of any library: a run does not fail because it cannot be reported
        get_logger().warning("%s: not written (%s: %s)", what, type(error).__name__, error)


def tell(observers: Iterable[Observer], event: str, run: StageRun) -> None:
    """Call a method of all observers."""
    for observer in observers:
        with harmless(f"telemetry of stage {run.stage}"):
            getattr(observer, event)(run)
