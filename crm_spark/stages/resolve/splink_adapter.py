"""Access to Splink internals that have no public API."""

from typing import Any

from splink import DuckDBAPI, Linker

# Splink does not export this exception; it is raised if a training rule yields no pairs.
from splink.internals.exceptions import EMTrainingException as TrainingError

__all__ = ["TrainingError", "configure_duckdb", "train_by_rule"]


def configure_duckdb(api: DuckDBAPI) -> None:
    """Make DuckDB deterministic: a fixed number of threads and preserved row order."""
    api.duckdb_con.execute("SET threads = 2; SET preserve_insertion_order = true")


def train_by_rule(linker: Linker, rule: Any) -> bool:
    """Run one EM training pass; return whether it succeeded. Otherwise, as without any pair, the model stays as it was."""
    # Splink prepares a pass in the settings of the linker: after the error they would lack the comparisons of the rule's
    # columns, and random pairs would count as matches.
    settings = linker._settings_obj
    before = settings.core_model_settings.copy()
    try:
        linker.training.estimate_parameters_using_expectation_maximisation(rule)
    except (TrainingError, ValueError):  # ValueError: a probability became too small for Splink
        settings.core_model_settings = before
        return False
    return True
