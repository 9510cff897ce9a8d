"""Source configuration: location and format of the files, target entities and column mappings.

One YAML file per source; the file name is the source name. Mappings are declarative: no expression is evaluated.
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from crm_spark.contracts.silver import ENTITIES, SILVER_ENVELOPE
from crm_spark.core.config import Config, TimeZone, read_yaml, validated
from crm_spark.core.errors import ConfigError
from crm_spark.core.patterns import require_pattern
from crm_spark.sources.date_formats import require_date_format
from crm_spark.sources.files import Files

FILLED_BY_CLEAN = {
    "system", "amount", "email_match", "house_number", "plain_title", "plain_text",
    *(column.name for column in SILVER_ENVELOPE if column.name != "updated_at"),
}  # fmt: skip
"""Columns filled by the clean stage; a mapping must not name them."""
HAS_DEFAULT = {"is_return", "is_holdout"}
"""Required columns that default to false."""
SOURCE_LEVEL = {"currency"}
"""Required columns that take the source's setting if they are not mapped."""
MINOR_UNITS = "minor_units"
"""Value of `scale`: the number counts the smallest unit of the row's currency."""


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


class Condition(Config):
    """Condition on a cell of a record."""

    column: str
    """Source column."""
    matches: str | None = None
    """Regular expression, searched anywhere in the cell; null: `equals` is compared."""
    equals: str | None = None
    """Exact value of the cell; null: `matches` is searched."""

    @model_validator(mode="after")
    def _check_condition(self) -> "Condition":
        if (self.matches is None) == (self.equals is None):
            raise ValueError("set exactly one of matches and equals")
        if self.matches is not None:
            require_pattern(self.matches)
        return self


class Case(Condition):
    """Value assigned if a column matches a condition."""

    value: str
    """Value assigned."""


class Lookup(Config):
    """Value from the records of another source, such as the name of a category or the person behind an order's customer id.

    Records wait until the other source has been delivered. Two values of one key in one delivery are an error.
    """

    source: str
    """Source that is searched; of several deliveries of a key the last counts."""
    key: str
    """Its column that is compared with the cell."""
    value: str
    """Its column that gives the value."""


class Mapping(Config):
    """Mapping of one entity column from the source columns."""

    from_: Annotated[list[str], Field(alias="from")] = []
    """Source column, or a list of columns that are joined. `customer.id` is the field `id` of the JSON object in `customer`,
    `tags.0` the first element of the list in `tags`, and `_file` the path of the file, `archive.zip!member.csv` in an archive."""
    join: str = " "
    """Separator if `from` lists several columns."""
    value: str | bool | int | float | None = None
    """Constant value; null: the value comes from `from`, `hash_of` or `cases`."""
    hash_of: list[str] | Literal["all"] | None = None
    """Digest of these columns, or of all columns; used as an id for records without one; null: no
    digest."""
    formats: list[str] = []
    """Date and time formats, tried in order: iso, epoch_seconds, epoch_milliseconds, epoch_microseconds, epoch_nanoseconds,
    excel (serial day number), or a Spark datetime pattern. A zone beside the time is read with every format; weekdays and
    names of months may be in any language of `clean.dates`."""
    newest_year: int | None = None
    """Last year of the 100-year window for two-digit years; null: 2099."""
    map: dict[str, str] = {}
    """Source value -> target value. Values not listed are reported as `unknown_value` unless `otherwise` is set."""
    otherwise: str | None = None
    """Default for values matched by neither `map` nor `cases`; null: they become null."""
    cases: list[Case] = []
    """Conditions, tried in order; the first that matches gives the value."""
    lookup: Lookup | None = None
    """Value from another source in place of the cell; null: the cell. A value that is not found becomes null and is counted as
    `unknown_value` unless `otherwise` is set; in a required column its row is quarantined."""
    extract: str | None = None
    """Regular expression; the first group is the value; null: the whole cell."""
    part: Literal["given", "family"] | None = None
    """Part of a full name written as `Given Family` or `Family, Given`, with or without titles; null: the
    whole cell."""
    ranges: dict[str, tuple[float, float]] = {}
    """Target value -> inclusive numeric range."""
    scale: float | Literal["minor_units"] | None = None
    """Factor applied to the number; `minor_units`: the number counts the smallest unit of the row's currency (cents of the
    euro, whole yen); null: none."""
    divide_by: str | None = None
    """Column by which the number is divided; null: none."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, content: Any) -> Any:
        if isinstance(content, str):
            return {"from": [content]}
        if isinstance(content, dict) and isinstance(content.get("from"), str):
            return {**content, "from": [content["from"]]}
        return content

    @field_validator("extract")
    @classmethod
    def _check_extract(cls, pattern: str | None) -> str | None:
        if pattern is not None and require_pattern(pattern) == 0:
            raise ValueError("the regular expression needs a group, such as '([0-9]+)$'; the first group is the value")
        return pattern

    @field_validator("formats")
    @classmethod
    def _check_formats(cls, formats: list[str]) -> list[str]:
        for text in formats:
            require_date_format(text)
        return formats

    @model_validator(mode="after")
    def _check_origin(self) -> "Mapping":
        origins = [bool(self.from_), self.value is not None, self.hash_of is not None, bool(self.cases)]
        if sum(origins) != 1:
            raise ValueError("set exactly one of from, value, hash_of and cases")
        if self.lookup is not None and len(self.from_) != 1:
            raise ValueError("lookup: set `from` to the one column whose value is looked up")
        return self

    @property
    def source_columns(self) -> list[str]:
        """Source columns read by this mapping."""
        hashed = self.hash_of if isinstance(self.hash_of, list) else []
        return [
            *self.from_,
            *hashed,
            *(case.column for case in self.cases),
            *([self.divide_by] if self.divide_by else []),
        ]


class Feed(Config):
    """Mapping of a source to one entity."""

    one_row_per_key: bool = False
    """Combine the lines of a file that have one key (an order header repeated on each line): each column takes the first known
    value, in the order of the lines. Values of later lines that differ are counted in `ops.finding` as `conflicting_values`, per
    column. Between files the latest record by `updated_at` is kept, then that of the source with the higher `rank`, then the
    one with the greatest digest or, without `updated_at`, the last delivered one; it takes values that it does not know from the
    others."""
    each: str | None = None
    """Column with a JSON list, such as `line_items`: each element is a record of the entity, together with the other columns of
    its record; `line_items.sku` is a field of the element. Records with an empty list have none. null: each record is one."""
    only: list[Condition] = []
    """Conditions that all hold for records of the entity. Others are left out, and counted in `ops.finding` as `left_out`."""
    leave_out: list[Condition] = []
    """Conditions of which none holds for records of the entity, such as that of a line of totals. Counted like those of `only`."""
    columns: dict[str, Mapping]
    """Mapping of each column of the entity."""

    @property
    def source_columns(self) -> list[str]:
        """Source columns that the feed reads."""
        conditions = [condition.column for condition in (*self.only, *self.leave_out)]
        mapped = [name for mapping in self.columns.values() for name in mapping.source_columns]
        return list(dict.fromkeys([*mapped, *conditions, *([self.each] if self.each else [])]))


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
            must = {c.name for c in contract.columns if c.is_required} | set(contract.grain)
            missing = sorted(must - FILLED_BY_CLEAN - HAS_DEFAULT - SOURCE_LEVEL - set(feed.columns))
            if missing:
                raise ValueError(f"feeds.{entity}.columns: required columns without a mapping: {', '.join(missing)}")
        return self

    @property
    def lookups(self) -> set[str]:
        """Sources in which a mapping looks up values."""
        mappings = (mapping for feed in self.feeds.values() for mapping in feed.columns.values())
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
    names = {source.name for source in sources}
    for path, source in zip(paths, sources):
        if unknown := sorted(source.lookups - names):
            raise ConfigError(
                f"{path}: lookup.source: there is no source {unknown[0]}; expected one of {', '.join(sorted(names))}"
            )
    return sources
