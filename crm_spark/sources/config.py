"""Source configuration: location and format of the files, target entities and column mappings.

One YAML file per source; the file name is the source name. Mappings are declarative: no expression is evaluated.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from crm_spark.contracts.silver import ENTITIES
from crm_spark.core.config import Config, TimeZone, read_yaml, validated
from crm_spark.core.errors import ConfigError
from crm_spark.sources.files import Files
from crm_spark.sources.mappings import FILLED_BY_CLEAN, HAS_DEFAULT, SOURCE_LEVEL, Attribute, Feed


class Jdbc(Config):
    """Database table, read in full or, with a watermark, incrementally."""

    url: Annotated[str, Field(pattern="^jdbc:")]
    """JDBC URL."""
    table: Annotated[str, Field(pattern=r'^[A-Za-z_][\w.$"]*$')]
    """Table, optionally with schema."""
    user: str | None = None
    """Database user; null: no user is sent."""
    password_env: str | None = None
    """Environment variable that contains the password; passwords are not allowed in configuration files. Null: no
    password is sent."""
    driver: str | None = None
    """JDBC driver class; null: the PostgreSQL driver, or the driver Java selects for the URL."""
    watermark: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")] | None = None
    """Monotonically increasing column (id or update time), compared by the database. A row is new if its content is not in
    bronze yet, so every update must also increase the watermark; rows with a null watermark are read every time.
    To use another column or table, configure a new source."""
    overlap: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """Overlap below the last watermark that is read again to catch late commits: seconds for a timestamp, units for a
    number. Set it to at least the duration of the longest transaction."""

    @model_validator(mode="after")
    def _overlap_has_a_watermark(self) -> "Jdbc":
        if self.overlap and self.watermark is None:
            raise ValueError("jdbc.overlap requires jdbc.watermark")
        return self


class Source(Config):
    """One kind of file or table of a source system.

    A source without feeds is ingested into bronze only.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Name of the source; lower case, digits, underscores."""
    system: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Namespace of the ids, shared by all sources of one system."""
    files: Files | None = None
    """Files of the source; exclusive with `jdbc`; null: the source is a database table."""
    jdbc: Jdbc | None = None
    """Database table of the source; exclusive with `files`; null: the source is a set of files."""
    time_zone: TimeZone | None = None
    """IANA time zone of times that name none; null: that of the company. A date without a time is a day of the company."""
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    """ISO 4217 currency code of the amounts; null: the reporting currency."""
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")] | None = None
    """Default country of phone numbers without a country code and of people without a country (ISO 3166 alpha-2);
    null: none."""
    decimal: Literal[".", ","] = "."
    """Decimal separator of numbers."""
    rank: Annotated[int, Field(ge=0)] = 0
    """Priority of the source: of two records with the same key and `updated_at`, the higher rank wins."""
    feeds: dict[str, Feed] = {}
    """Entities that the source feeds, by name."""

    @model_validator(mode="after")
    def _check_feeds(self) -> "Source":
        if (self.files is None) == (self.jdbc is None):
            raise ValueError("set exactly one of files and jdbc")
        for entity, feed in self.feeds.items():
            if entity not in ENTITIES:
                raise ValueError(f"feeds.{entity}: unknown entity; expected one of {', '.join(ENTITIES)}")
            contract = ENTITIES[entity]
            allowed = [c for c in contract.column_names if c not in FILLED_BY_CLEAN]
            for column in feed.columns:
                if column not in allowed:
                    raise ValueError(
                        f"feeds.{entity}.columns.{column}: unknown column; expected one of {', '.join(allowed)}"
                    )
            for name, attribute in feed.attributes.items():
                if attribute.role == "feature" and entity != "person":
                    raise ValueError(f"feeds.{entity}.attributes.{name}: only attributes of a person can be features")
                if attribute.role == "feature" and not attribute.is_constant and "updated_at" not in feed.columns:
                    raise ValueError(
                        f"feeds.{entity}.attributes.{name}: role feature: map updated_at, so that it is known since when the value "
                        "holds, or set is_constant: true if it never changes"
                    )
            must = {c.name for c in contract.columns if c.is_required} | set(contract.grain)
            missing = sorted(must - FILLED_BY_CLEAN - HAS_DEFAULT - SOURCE_LEVEL - set(feed.columns))
            if missing:
                raise ValueError(f"feeds.{entity}.columns: required columns without a mapping: {', '.join(missing)}")
        return self

    @property
    def lookups(self) -> set[str]:
        """Sources in which a mapping looks up values."""
        mappings = (mapping for feed in self.feeds.values() for mapping in feed.mapped.values())
        return {mapping.lookup.source for mapping in mappings if mapping.lookup is not None}


def load_source(path: Path) -> Source:
    """Load a source from a YAML file.

    Raises:
        ConfigError: the file is invalid; the message names file, key, value and the allowed values.
    """
    content = read_yaml(path)
    content.setdefault("system", path.stem)
    return validated(Source, {"name": path.stem, **content}, origin=str(path))


def load_sources(folder: Path) -> tuple[Source, ...]:
    """Load all sources of a folder, sorted by name.

    Raises:
        ConfigError: the folder contains no source, or a source is invalid.
    """
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise ConfigError(
            f"ingest.sources_dir: {folder} contains no *.yaml file. Set it to the folder with one YAML file per source."
        )
    sources = tuple(load_source(path) for path in paths)
    _require_equal_attributes(paths, sources)
    names = {source.name for source in sources}
    for path, source in zip(paths, sources):
        if unknown := sorted(source.lookups - names):
            raise ConfigError(
                f"{path}: lookup.source: there is no source {unknown[0]}; expected one of {', '.join(sorted(names))}"
            )
    return sources


def attributes_of(sources: Iterable[Source], entity: str) -> dict[str, Attribute]:
    """Attributes of an entity by name, from all sources that feed it; a category has the values of all of them."""
    found: dict[str, Attribute] = {}
    for feed in (source.feeds[entity] for source in sources if entity in source.feeds):
        for name, attribute in sorted(feed.attributes.items()):
            values = list(dict.fromkeys([*(found[name].values if name in found else ()), *attribute.feature_values]))
            found[name] = attribute.model_copy(update={"values": values})
    return found


def _require_equal_attributes(paths: Sequence[Path], sources: Sequence[Source]) -> None:
    """Check that sources with an attribute in common agree on its type, role, sensitivity and is_constant.

    Raises:
        ConfigError: two sources differ.
    """
    known: dict[tuple[str, str], tuple[Path, tuple[str, str, str, bool]]] = {}
    for path, source in zip(paths, sources, strict=True):
        for entity, feed in source.feeds.items():
            for name, attribute in feed.attributes.items():
                other, declaration = known.setdefault((entity, name), (path, attribute.declaration))
                if declaration != attribute.declaration:
                    raise ConfigError(
                        f"{path}: feeds.{entity}.attributes.{name}: type, role, sensitivity and is_constant are "
                        f"{attribute.declaration}, and in {other} {declaration}. Declare the attribute alike, or give one of them "
                        "another name."
                    )
