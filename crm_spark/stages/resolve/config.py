"""Settings of the resolve stage."""

from typing import Annotated, Literal

from pydantic import Field

from crm_spark.core.config import Config


class ResolveConfig(Config):
    """Settings of the resolve stage."""

    match_probability: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Minimum match probability at which two records are linked."""
    backend: Literal["auto", "duckdb", "spark"] = "auto"
    """Splink backend; auto: DuckDB in the driver up to `duckdb_max_records`, otherwise Spark."""
    duckdb_max_records: Annotated[int, Field(ge=0)] = 250_000
    """Maximum number of records for the DuckDB backend, which runs in driver memory."""
    max_block: Annotated[int, Field(ge=2)] = 50
    """A phone number or e-mail shared by more records than this is ignored (switchboard or placeholder)."""
    training_pairs: Annotated[int, Field(ge=10_000)] = 1_000_000
    """Random pairs sampled to estimate the u probabilities."""
    nicknames: str | None = None
    """YAML file with nicknames by given name; null: no nicknames."""
