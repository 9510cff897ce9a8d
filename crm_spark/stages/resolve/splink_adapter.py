"""Access to Splink internals that have no public API."""

from splink import DuckDBAPI

# Splink does not export this exception; it is raised if a training rule yields no pairs.
from splink.internals.exceptions import EMTrainingException as TrainingError

__all__ = ["TrainingError", "configure_duckdb"]


def configure_duckdb(api: DuckDBAPI) -> None:
    """Make DuckDB deterministic: a fixed number of threads and preserved row order."""
    # DuckDBAPI has no option for connection settings, so they are set on its private connection.
    api._con.execute("SET threads = 2; SET preserve_insertion_order = true")
