"""Settings of the resolve stage."""

from typing import Annotated, Literal

from pydantic import Field

from crm_spark.core.config import Config
from crm_spark.stages.resolve.golden_config import GoldenConfig


class ResolveConfig(Config):
    """Settings of the resolve stage."""

    backend: Literal["auto", "duckdb", "spark"] = "auto"
    """Where records are compared; auto: by DuckDB in the driver up to `duckdb_max_records`, otherwise on Spark."""
    duckdb_max_records: Annotated[int, Field(ge=0)] = 250_000
    """Maximum number of records for the DuckDB backend, which runs in driver memory."""
    max_block: Annotated[int, Field(ge=2)] = 50
    """A phone number, e-mail address or identifier shared by more records than this is ignored (switchboard or placeholder)."""
    max_cluster: Annotated[int, Field(ge=2)] = 100
    """Number of records that one customer plausibly has; a larger cluster is taken apart by a stricter threshold, and reported if it
    remains."""
    one_record_per_person: list[str] = []
    """Systems in which every person has exactly one record: two records of such a system are never linked."""
    training_pairs: Annotated[int, Field(ge=10_000)] = 1_000_000
    """Random pairs sampled to estimate the u probabilities."""
    nicknames: str | None = None
    """YAML file with nicknames by given name; null: no nicknames."""
    golden: GoldenConfig = GoldenConfig()
    """Golden record: which value survives where the records of a customer differ."""
