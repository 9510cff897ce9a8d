"""What may vary in clean."""

from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config


class CleanConfig(Config):
    """Settings of the clean stage."""

    rules_dir: str = "conf/quality"
    """Folder with the quality rules, one or more YAML files."""
    more_rules_dir: str | None = None
    """Folder with further rules, of this company's own."""
    names: str | None = None
    """YAML of the words around names: titles, forms of address, particles; null: only case and blanks are put right."""
    addresses: str | None = None
    """YAML of country packs: how streets, house numbers, postcodes and the country itself are written."""
    languages: list[Annotated[str, Field(pattern="^[a-z]{2,3}$")]] = []
    """Languages that texts may be in, ISO 639-1: the fewer, the surer the tag; none: any."""
    max_quarantined_fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    """A delivery of which more than this is quarantined is held back whole: most likely the mapping is wrong, not the rows."""


class ReplayConfig(Config):
    """What a replay takes up."""

    source: str | None = None
    """One source; null: all."""
    entity: str | None = None
    """One entity; null: all."""
    by: str | None = None
    """Who answers for it; null: the user that runs the job."""
