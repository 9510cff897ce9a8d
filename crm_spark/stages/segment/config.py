"""Settings of the segment stage."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from crm_spark.core.config import Config
from crm_spark.models.retrain import RetrainPolicy

DIMENSIONS: tuple[Literal["recency", "frequency", "monetary"], ...] = ("recency", "frequency", "monetary")


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
    says: tuple[Literal["recency", "frequency", "monetary"], ...] | None = None
    """Dimensions that the name speaks about; null: those with a position other than 0. A segment gets the name only if it
    differs from the others in all of them, in the direction of the position; recent means within `company.horizon_days`,
    long ago before that."""

    @property
    def claims(self) -> dict[str, int]:
        """What the name says: dimension -> -1 below the other segments, 1 above them."""
        positions = {name: getattr(self, name) for name in self.says or DIMENSIONS}
        return {name: 1 if position > 0 else -1 for name, position in positions.items() if position}

    @model_validator(mode="after")
    def _takes_sides(self) -> "Archetype":
        neutral = [name for name in self.says or () if getattr(self, name) == 0]
        if neutral:
            raise ValueError(f"{self.name}: says {', '.join(neutral)}: give a position other than 0 there")
        return self


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
        Archetype(name="Loyal regulars", recency=-0.6, frequency=0.6, monetary=0.4, says=("recency", "frequency")),
        Archetype(
            name="Recent and occasional", recency=-0.6, frequency=-0.9, monetary=-0.9, says=("recency", "frequency")
        ),
        Archetype(name="Big but rare", recency=0.2, frequency=-0.4, monetary=0.8, says=("frequency", "monetary")),
        Archetype(name="Slipping away", recency=0.6, frequency=0.3, monetary=0.2, says=("recency",)),
        Archetype(name="Lost small buyers", recency=1.1, frequency=-1, monetary=-1, says=("recency", "monetary")),
        Archetype(name="Lost good customers", recency=1.1, frequency=0.9, monetary=0.9, says=("recency", "monetary")),
        Archetype(name="Small but steady", recency=-0.4, frequency=0.4, monetary=-0.6, says=("frequency", "monetary")),
    ]
    """Available segment names; each is used at most once. A segment that no name fits is described by its medians."""
    retrain: RetrainPolicy = RetrainPolicy(max_age_days=90)
    """When the segments are formed again; until then a refresh assigns customers to the nearest of them. The examples are
    customers with orders, the loss is the squared distance to the centre of the segment."""

    @model_validator(mode="after")
    def _enough_names(self) -> "SegmentConfig":
        if not self.min_k <= self.max_k <= len(self.archetypes):
            raise ValueError(f"expected min_k <= max_k <= {len(self.archetypes)} (the number of archetypes)")
        return self
