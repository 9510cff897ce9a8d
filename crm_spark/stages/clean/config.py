"""Settings of the clean and replay stages."""

from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config


class CleanConfig(Config):
    """Settings of the clean stage."""

    rules_dir: str = "conf/quality"
    """Folder with the quality rules (one or more YAML files)."""
    more_rules_dir: str | None = None
    """Folder with additional, company-specific rules; null: none."""
    names: str | None = None
    """YAML file with titles, forms of address and particles of names; null: only case and spaces are normalised."""
    addresses: str | None = None
    """YAML file with country packs for streets, house numbers, postcodes and countries; null: only case, spaces and
    punctuation are normalised."""
    dates: str | None = None
    """YAML file with names of months, weekdays and time zones in dates; null: English months, and times in UTC or with an
    offset or IANA name."""
    currencies: str | None = None
    """YAML file with signs and decimal places of currencies; null: ISO 4217 codes and Unicode signs, two decimal places."""
    mail_providers: str | None = None
    """YAML file with the mail providers that ignore tags or dots in addresses; null: addresses are compared as written."""
    languages: list[Annotated[str, Field(pattern="^[a-z]{2,3}$")]] = []
    """Candidate languages of texts (ISO 639-1). A shorter list makes detection more reliable; empty: any language."""
    max_quarantined_fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    """A delivery is blocked if a larger fraction of its rows is quarantined; usually the mapping is wrong."""
    compile_from_rows: Annotated[int, Field(ge=0)] = 100_000
    """Number of pending records from which Spark compiles its plans; fewer are processed interpreted, because compiling
    takes longer."""


class ReplayConfig(Config):
    """Scope of a replay."""

    source: str | None = None
    """Source to replay; null: all."""
    entity: str | None = None
    """Entity to replay; null: all."""
    by: str | None = None
    """Name recorded in ops.release; null: the user who runs the job."""
