"""What a stage declares about itself: its name, what it reads, when it must run, and its entry point."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crm_spark.core.context import JobContext, StageResult
from crm_spark.core.contract import TableContract


@dataclass(frozen=True)
class Stage:
    """Declaration of a stage, the constant `STAGE` of its module.

    Attributes:
        name: name of the stage, of its job, and of its section in the configuration.
        run: the entry point.
        reads: tables whose new versions make the stage run again.
        inputs: further inputs that do, as JSON-able values: configuration files, the model in production.
        must_run: whether the stage has to run although its inputs are those of its last run.
        has_as_of: whether the results belong to a logical date.
        reruns_on_new_date: whether a new logical date alone makes the stage run again.
        builds_on: names of stages whose code counts as the stage's own, because what it keeps depends on how they compute.
        reads_company: whether the company's settings make the stage run again.
        fits_model: whether the stage fits a model, or prepares its training data: `--retrain` runs it.
    """

    name: str
    run: Callable[[JobContext], StageResult]
    reads: tuple[TableContract, ...] = ()
    inputs: Callable[[JobContext], dict[str, Any]] | None = None
    must_run: Callable[[JobContext], bool] | None = None
    has_as_of: bool = True
    reruns_on_new_date: bool = True
    builds_on: tuple[str, ...] = ()
    reads_company: bool = True
    fits_model: bool = False

    def __post_init__(self) -> None:
        if not all(isinstance(table, TableContract) for table in self.reads):
            raise TypeError(f"stage {self.name}: reads: expected table contracts.")
        for hook in ("run", "inputs", "must_run"):
            function = getattr(self, hook)
            if function is not None and not callable(function):
                raise TypeError(f"stage {self.name}: {hook}: expected a function, got {type(function).__name__}.")

    @property
    def package(self) -> str:
        """The package that holds the stage's code."""
        return self.run.__module__.rpartition(".")[0]
