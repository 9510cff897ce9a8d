"""Mappings of a source's records to entities: conditions, columns, look-ups, further attributes. No expression is evaluated."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pyspark.sql.types import DataType

from crm_spark.contracts.silver import ENTITIES, SILVER_ENVELOPE
from crm_spark.contracts.types import BOOLEAN, DATE, DOUBLE, STRING
from crm_spark.core.config import Config
from crm_spark.core.patterns import require_pattern
from crm_spark.sources.date_formats import require_date_format

FILLED_BY_CLEAN = {
    "system", "amount", "discount_amount", "attributes", "email_match", "house_number", "plain_title", "plain_text",
    *(column.name for column in SILVER_ENVELOPE if column.name != "updated_at"),
}  # fmt: skip
"""Columns filled by the clean stage; a mapping must not name them."""
HAS_DEFAULT = {"is_return", "is_holdout"}
"""Required columns that default to false."""
SOURCE_LEVEL = {"currency"}
"""Required columns that take the source's setting if they are not mapped."""
MINOR_UNITS = "minor_units"
"""Value of `scale`: the number counts the smallest unit of the row's currency."""


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


AttributeType = Literal["number", "category", "date", "flag", "text"]
ATTRIBUTE_TYPES: dict[AttributeType, DataType] = {
    "number": DOUBLE,
    "category": STRING,
    "date": DATE,
    "flag": BOOLEAN,
    "text": STRING,
}
"""Type of an attribute -> type of its column."""
ATTRIBUTE = "attribute_{}"
"""Column of an attribute, formatted with its name."""


class Attribute(Mapping):
    """Further column of an entity, kept in its `attributes`."""

    type: AttributeType = "category"
    """number, category, date, flag (yes or no) or text. An invalid value becomes null and is counted."""
    role: Literal["feature", "evidence", "identifier", "none"] = "none"
    """For attributes of people. feature: input of the predictions; evidence: compared to find the records of one person
    (birth place, occupation); identifier: a number that only one person has (tax number, customer card), records with the same
    one are of one person; none: kept only."""
    sensitivity: Literal["internal", "personal", "special"] = "internal"
    """internal: may be shown and exported; personal: identifies a person; special: health, belief, origin and the like,
    which never become features."""

    is_constant: bool = False
    """Whether the value never changes, so that it was known all along: the channel by which a customer was won. Without it a
    feature needs `updated_at` in its feed: the value of today must not be known to the past."""
    values: list[str] = []
    """Values of a category that are told apart as features; empty: those of `map`."""

    @model_validator(mode="after")
    def _check_role(self) -> "Attribute":
        if self.role == "feature" and self.sensitivity != "internal":
            raise ValueError(f"role feature: a {self.sensitivity} attribute must not be a feature; set role: none")
        if self.role == "feature" and self.type == "text":
            raise ValueError("role feature: text is not a feature; set type: category for a small number of values")
        if self.role == "feature" and self.type == "category" and not self.feature_values:
            raise ValueError("role feature: list the values of the category in `values`; each becomes a feature")
        if self.role in ("evidence", "identifier") and self.type not in ("text", "category", "date"):
            raise ValueError(f"role {self.role}: values of type {self.type} are not compared as text; set type: text")
        return self

    @property
    def feature_values(self) -> list[str]:
        """Values of a category that are features."""
        return self.values or sorted({*self.map.values(), *([self.otherwise] if self.otherwise else [])})

    @property
    def declaration(self) -> tuple[str, str, str, bool]:
        """What all sources of an attribute must agree on: type, role, sensitivity, is_constant."""
        return self.type, self.role, self.sensitivity, self.is_constant


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
    attributes: dict[Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")], Attribute] = {}
    """Further columns by name, such as `loyalty_tier`, which need no column of the entity. Sources of one entity that
    have an attribute in common declare it alike."""

    @property
    def mapped(self) -> dict[str, Mapping]:
        """All mappings by column; those of attributes as `attribute_NAME`."""
        return self.columns | {ATTRIBUTE.format(name): mapping for name, mapping in self.attributes.items()}

    def column_types(self, entity: str) -> dict[str, DataType]:
        """Type of each mapped column, in the order of the contract; attributes last, by name."""
        contract = {c.name: c.type for c in ENTITIES[entity].columns if c.name in self.columns}
        return contract | {
            ATTRIBUTE.format(name): ATTRIBUTE_TYPES[attribute.type]
            for name, attribute in sorted(self.attributes.items())
        }

    @property
    def source_columns(self) -> list[str]:
        """Source columns that the feed reads."""
        conditions = [condition.column for condition in (*self.only, *self.leave_out)]
        mapped = [name for mapping in self.mapped.values() for name in mapping.source_columns]
        return list(dict.fromkeys([*mapped, *conditions, *([self.each] if self.each else [])]))
