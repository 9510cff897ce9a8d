"""What may vary in resolve."""

from typing import Annotated, Literal

from pydantic import Field

from crm_spark.core.config import Config


class ResolveConfig(Config):
    """Settings of the resolve stage."""

    match_probability: Annotated[float, Field(gt=0, lt=1)] = 0.95
    """Posterior probability from which two records are the same person."""
    backend: Literal["auto", "duckdb", "spark"] = "auto"
    """Where pairs are compared; auto: DuckDB in the driver for few records, Spark for many."""
    duckdb_max_records: Annotated[int, Field(ge=0)] = 250_000
    """Up to so many records the pairs fit the driver."""
    max_block: Annotated[int, Field(ge=2)] = 50
    """A phone or e-mail that stands on more records than this is a switchboard or a placeholder and proves nothing."""
    training_pairs: Annotated[int, Field(ge=10_000)] = 1_000_000
    """Random pairs drawn to learn how often people who differ agree by chance."""
    nicknames: str | None = None
    """YAML of short forms of given names, by the name they stand for; null: none."""
