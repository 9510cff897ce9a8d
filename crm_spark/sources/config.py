"""A source system as data: where its files are, what they look like, which entities they feed and how columns map.

One YAML per source; the file's name is the source's name. A value is named, never computed by text that is run: the
vocabulary below is all there is.
"""

import re
from pathlib import Path
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator, model_validator

from crm_spark.contracts.silver import ENTITIES, SILVER_ENVELOPE
from crm_spark.core.config import Config, read_yaml, validated
from crm_spark.core.errors import ConfigError

FILLED_BY_CLEAN = {
    "system", "amount", "email_match", "house_number", "plain_title", "plain_text",
    *(column.name for column in SILVER_ENVELOPE if column.name != "updated_at"),
}  # fmt: skip
"""Columns of an entity that no mapping may name."""
HAS_DEFAULT = {"is_return", "is_holdout"}
"""Required columns that are false where a source does not say."""
OF_THE_SOURCE = {"currency"}
"""Required columns that may be mapped, and else are what the source says of all its records."""


class FileOptions(Config):
    """How a text file is written."""

    delimiter: Annotated[str, Field(min_length=1, max_length=4)] = ","
    quote: str = '"'
    escape: str = '"'
    """The character that stands before a quote inside quotes; RFC 4180 doubles the quote."""
    encoding: str = "utf-8"
    multi_line: bool = True
    """Whether a quoted cell may hold a line break. False lets Spark split one large plain file among tasks."""

    @field_validator("delimiter")
    @classmethod
    def _is_written(cls, text: str) -> str:
        return text.replace("\\t", "\t")

    @field_validator("encoding")
    @classmethod
    def _is_known(cls, name: str) -> str:
        try:
            "".encode(name)
        except LookupError:
            raise ValueError(f"no such encoding {name!r}; wanted one such as utf-8, windows-1252, utf-16") from None
        return name


class Files(Config):
    """Files below `ingest.data_dir`."""

    path: Annotated[str, Field(min_length=1)]
    """A glob: `*` within a name, `**` over folders."""
    format: Literal["csv", "jsonl", "json", "parquet"]
    """jsonl: an object a line; json: one document, an array of objects. Of text, compression and archives are told from
    the ending: .gz, .bz2, .zst; of a .zip every member is a file."""
    may_lack: list[str] = []
    """Mapped columns that a file may come without; one that lacks any other is kept in bronze and not made silver of."""
    options: FileOptions = FileOptions()

    @field_validator("path")
    @classmethod
    def _stays_below_the_data_folder(cls, glob: str) -> str:
        if glob.startswith(("/", "~")) or re.search(r"[\\:\x00]|(^|/)\.\.?(/|$)", glob):
            raise ValueError("wanted a path below ingest.data_dir, such as '*/orders*.csv', without .. and schemes")
        return glob


class Jdbc(Config):
    """A table in a database, read whole or, with a watermark, only what is newer than the last time."""

    url: Annotated[str, Field(pattern="^jdbc:")]
    table: Annotated[str, Field(pattern=r'^[A-Za-z_][\w.$"]*$')]
    user: str | None = None
    password_env: str | None = None
    """Name of the environment variable that holds the password; a password never stands in a file."""
    driver: str | None = None
    """Class of the driver; null: the one of PostgreSQL, or what Java finds for the URL."""
    watermark: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*$")] | None = None
    """Column that only grows: an id or a time of change, compared as the database compares it. A row is new if none that
    came before has its content, so a change that is to be seen moves the watermark; rows without one are read each time.
    Another column, or another table, is another source: give it a name of its own."""
    overlap: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    """How far below the last watermark rows are read again, for what was committed late: seconds of a time, units of a
    number. As long as the longest transaction loses nothing."""

    @model_validator(mode="after")
    def _overlap_has_a_watermark(self) -> "Jdbc":
        if self.overlap and self.watermark is None:
            raise ValueError("jdbc.overlap: wanted jdbc.watermark beside it")
        return self


class Case(Config):
    """A value given where a column matches."""

    column: str
    matches: str | None = None
    """Regular expression found anywhere in the cell."""
    equals: str | None = None
    value: str

    @model_validator(mode="after")
    def _one_test(self) -> "Case":
        if (self.matches is None) == (self.equals is None):
            raise ValueError("give either matches or equals")
        if self.matches is not None:
            re.compile(self.matches)
        return self


class Mapping(Config):
    """How one column of an entity comes from the source's columns."""

    from_: Annotated[list[str], Field(alias="from")] = []
    join: str = " "
    """Between the cells, where several columns are named."""
    value: str | bool | int | float | None = None
    """A constant."""
    hash_of: list[str] | Literal["all"] | None = None
    """A digest of these cells, or of all: an id for records that have none."""
    formats: list[str] = []
    """Of dates and times, tried in order: iso, epoch_seconds, epoch_milliseconds, excel (its day number), or a Spark
    pattern."""
    newest_year: int | None = None
    """Years of two digits belong to the hundred years that end with it; null: to 2000-2099."""
    map: dict[str, str] = {}
    """Source spelling -> our word. A spelling that is not listed is `unknown_value`, unless `otherwise` is given."""
    otherwise: str | None = None
    cases: list[Case] = []
    extract: str | None = None
    """Regular expression; its first group is the value."""
    part: Literal["given", "family"] | None = None
    """Of a full name, written `Given Family` or `Family, Given`, titles and all."""
    ranges: dict[str, tuple[float, float]] = {}
    """Our word -> inclusive range of the number."""
    scale: float | None = None
    """The number is multiplied by this."""
    divide_by: str | None = None
    """The number is divided by this column."""

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, content: Any) -> Any:
        if isinstance(content, str):
            return {"from": [content]}
        if isinstance(content, dict) and isinstance(content.get("from"), str):
            return {**content, "from": [content["from"]]}
        return content

    @model_validator(mode="after")
    def _one_origin(self) -> "Mapping":
        origins = [bool(self.from_), self.value is not None, self.hash_of is not None, bool(self.cases)]
        if sum(origins) != 1:
            raise ValueError("give exactly one of from, value, hash_of, cases")
        return self

    @property
    def source_columns(self) -> list[str]:
        """The columns of the source this reads."""
        hashed = self.hash_of if isinstance(self.hash_of, list) else []
        return [
            *self.from_,
            *hashed,
            *(case.column for case in self.cases),
            *([self.divide_by] if self.divide_by else []),
        ]


class Feed(Config):
    """One entity fed by a source."""

    one_row_per_key: bool = False
    """Many records share one key (a header repeated on each line): one stands for all of them, the one known last and,
    of equally old ones, the one of the greatest digest, in whatever order they come. Lines that do not agree are counted in
    `ops.finding` as `conflicting_values`, by column."""
    columns: dict[str, Mapping]


class Source(Config):
    """A source system's file kind.

    A source with no feeds is kept in bronze, and nothing is made of it yet.
    """

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    system: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Name space of the ids; files of one system share it."""
    files: Files | None = None
    jdbc: Jdbc | None = None
    time_zone: str = "UTC"
    """Zone of times that carry none."""
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] | None = None
    """ISO 4217 code of the amounts; null: the company's reporting currency."""
    country: Annotated[str, Field(pattern="^[A-Z]{2}$")] | None = None
    """Region of phone numbers without a country code, and of people whose country is empty."""
    decimal: Literal[".", ","] = "."
    rank: Annotated[int, Field(ge=0)] = 0
    """Which source wins when two know the same record equally late: the higher."""
    feeds: dict[str, Feed] = {}

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, zone: str) -> str:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ValueError("wanted a zone of the IANA data base such as Europe/Berlin") from None
        return zone

    @model_validator(mode="after")
    def _fits_the_entities(self) -> "Source":
        if (self.files is None) == (self.jdbc is None):
            raise ValueError("give either files or jdbc")
        for entity, feed in self.feeds.items():
            if entity not in ENTITIES:
                raise ValueError(f"feeds.{entity}: no such entity; known: {', '.join(ENTITIES)}")
            contract = ENTITIES[entity]
            allowed = [c for c in contract.column_names if c not in FILLED_BY_CLEAN]
            for column in feed.columns:
                if column not in allowed:
                    raise ValueError(f"feeds.{entity}.columns.{column}: no such column; known: {', '.join(allowed)}")
            must = {c.name for c in contract.columns if c.is_required} | set(contract.grain)
            missing = sorted(must - FILLED_BY_CLEAN - HAS_DEFAULT - OF_THE_SOURCE - set(feed.columns))
            if missing:
                raise ValueError(
                    f"feeds.{entity}.columns: nothing is mapped to {', '.join(missing)}, which may not be empty"
                )
        return self


def load_source(path: Path) -> Source:
    """The source in a YAML file.

    Raises:
        ConfigError: names file, key, value and what is allowed.
    """
    content = read_yaml(path)
    content.setdefault("system", path.stem)
    return validated(Source, {"name": path.stem, **content}, origin=str(path))


def load_sources(folder: Path) -> tuple[Source, ...]:
    """Every source in a folder, by name.

    Raises:
        ConfigError: there is none, or one cannot be used.
    """
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise ConfigError(
            f"ingest.sources_dir: {folder} holds no *.yaml. Give the folder with one YAML per source system."
        )
    return tuple(load_source(path) for path in paths)
