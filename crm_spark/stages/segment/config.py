"""Settings of the segment stage."""

from typing import Annotated

from pydantic import Field, model_validator

from crm_spark.core.config import Config


class Archetype(Config):
    """A segment name and its typical position: -1 well below the other segments, 1 well above."""

    name: str
    """Segment name in the report."""
    recency: Annotated[float, Field(ge=-2, le=2)]
    """Days since the last order: -1 recent, 1 long ago."""
    frequency: Annotated[float, Field(ge=-2, le=2)]
    """Number of orders: -1 few, 1 many."""
    monetary: Annotated[float, Field(ge=-2, le=2)]
    """Revenue: -1 low, 1 high."""


class SegmentConfig(Config):
    """Settings of the segment stage."""

    min_k: Annotated[int, Field(ge=2)] = 4
    """Smallest number of segments."""
    max_k: Annotated[int, Field(ge=2)] = 6
    """Largest number of segments."""
    silhouette_rows: Annotated[int, Field(ge=1000)] = 50_000
    """Number of customers sampled to compute the silhouette."""
    archetypes: list[Archetype] = [
        Archetype(name="Champions", recency=-1, frequency=1.3, monetary=1.3),
        Archetype(name="Loyal regulars", recency=-0.6, frequency=0.6, monetary=0.4),
        Archetype(name="New and occasional", recency=-0.6, frequency=-0.9, monetary=-0.9),
        Archetype(name="Big but rare", recency=0.2, frequency=-0.4, monetary=0.8),
        Archetype(name="Slipping away", recency=0.6, frequency=0.3, monetary=0.2),
        Archetype(name="Lost small buyers", recency=1.1, frequency=-1, monetary=-1),
        Archetype(name="Lost good customers", recency=1.1, frequency=0.9, monetary=0.9),
        Archetype(name="Small but steady", recency=-0.4, frequency=0.4, monetary=-0.6),
    ]
    """Available segment names; each is used at most once."""

    @model_validator(mode="after")
    def _enough_names(self) -> "SegmentConfig":
        if not self.min_k <= self.max_k <= len(self.archetypes):
            raise ValueError(f"expected min_k <= max_k <= {len(self.archetypes)} (the number of archetypes)")
        return self
