"""Quality rules: the check, the column it applies to, and the severity of a violation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator
from pyspark.sql import Column
from pyspark.sql import functions as F

from crm_spark.contracts.silver import ENTITIES
from crm_spark.core.config import Config, read_yaml, validated
from crm_spark.core.errors import ConfigError
from crm_spark.core.hashing import sha256_of
from crm_spark.quality.checks import CHECKS, Parameter
from crm_spark.quality.expectations import Expectation

ANY = "any"
"""Key of null markers that apply to every column."""
Severity = Literal["warn", "quarantine", "block"]


class Rule(Config):
    """A rule for one column.

    Effect of a violation: `warn` records it and keeps the row; `quarantine` quarantines the row; `block` quarantines the
    whole delivery.
    """

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Reason code, stored in ops.quarantine and ops.finding."""
    entity: str
    """Entity to which the rule applies."""
    column: str
    """Column to which the check is applied."""
    check: str
    """Name of the check."""
    params: dict[str, Parameter] = {}
    """Parameters of the check, by name."""
    on_null: Literal["pass", "fail"] = "pass"
    """Result of the check for a null value."""
    unless: str | None = None
    """Boolean column of the entity; the rule is skipped where it is true; null: never."""
    severity: Severity = "quarantine"
    """Effect of a violation: `warn`, `quarantine` (the row) or `block` (the whole delivery)."""
    version: Annotated[int, Field(ge=1)] = 1
    """Version of the rule; raise it when the meaning changes."""

    @model_validator(mode="after")
    def _check_definition(self) -> "Rule":
        if self.check not in CHECKS:
            raise ValueError(f"unknown check {self.check}; expected one of {', '.join(sorted(CHECKS))}")
        if self.entity not in ENTITIES:
            raise ValueError(f"unknown entity {self.entity}; expected one of {', '.join(ENTITIES)}")
        known = ENTITIES[self.entity].column_names
        for column in (self.column, *([self.unless] if self.unless else [])):
            if column not in known:
                raise ValueError(f"{self.entity} has no column {column}; expected one of {', '.join(known)}")
        if error := CHECKS[self.check].parameter_error(self.params, known):
            raise ValueError(f"{self.check}: {error}")
        if self.reference is not None:
            entity, key = self.reference
            if entity not in ENTITIES:
                raise ValueError(f"{self.check}: unknown entity {entity}; expected one of {', '.join(ENTITIES)}")
            if key not in ENTITIES[entity].column_names:
                raise ValueError(f"{self.check}: {entity} has no column {key}")
        return self

    @property
    def reference(self) -> tuple[str, str] | None:
        """Entity and key column that must contain the value, for `exists_in`; otherwise None."""
        return (str(self.params["entity"]), str(self.params["key"])) if self.check == "exists_in" else None

    @property
    def violation(self) -> Column:
        """True where a row violates the rule; never null."""
        check = CHECKS[self.check]
        params = {k: F.col(str(v)) if k in check.columns else v for k, v in self.params.items()}
        is_violated = F.coalesce(check.violation(F.col(self.column), **params), F.lit(self.on_null == "fail"))
        return is_violated if self.unless is None else is_violated & ~F.coalesce(F.col(self.unless), F.lit(False))


class QualityRules(Config):
    """Quality rules and expectations of the clean stage."""

    placeholders: dict[str, list[str]] = {}
    """Null markers, compared case-insensitively, for `any` column or one `entity.column`; they become null."""
    ambiguous_placeholders: dict[str, list[str]] = {}
    """Null markers that are also names of people or towns (Null, Na, None), by `entity.column`: kept, with a note, in a row
    that has another part of the name or address, unless the spelling in lower or upper case gives them away."""
    survivorship: dict[str, Literal["known", "latest"]] = {}
    """How a column (`entity.column`) is merged where several sources of a system, or several lines, describe one record:
    `known` (default) takes the first known value, by `updated_at`, then `rank`; `latest` takes the first record's value even
    if it is empty."""
    affirmative: list[str] = []
    """Values read as true, in lower case."""
    negative: list[str] = []
    """Values read as false, in lower case."""
    tolerated: list[str] = []
    """Columns (`entity.column`) where an invalid value becomes null instead of quarantining the row."""
    rules: list[Rule] = []
    """Rules for columns."""
    expectations: list[Expectation] = []
    """Expectations on deliveries."""

    @model_validator(mode="after")
    def _check_column_names(self) -> "QualityRules":
        for name in (
            *self.tolerated,
            *self.ambiguous_placeholders,
            *self.survivorship,
            *(k for k in self.placeholders if k != ANY),
        ):
            entity, _, column = name.partition(".")
            if entity not in ENTITIES or column not in ENTITIES[entity].column_names:
                raise ValueError(f"{name}: unknown column; expected entity.column")
        return self

    @property
    def version(self) -> str:
        """Digest of the rule set."""
        return sha256_of(self.model_dump(mode="json"))[:16]

    def of(self, entity: str) -> list[Rule]:
        """Rules of one entity."""
        return [rule for rule in self.rules if rule.entity == entity]

    @property
    def referenced_entities(self) -> set[str]:
        """Entities referenced by `exists_in` rules."""
        return {rule.reference[0] for rule in self.rules if rule.reference is not None}

    def null_checked_columns(self, entity: str) -> set[str]:
        """Columns of an entity with a null_fraction expectation."""
        checked = (e for e in self.expectations if e.entity == entity and e.measure == "null_fraction")
        return {e.column for e in checked if e.column is not None}

    def reference_codes(self, entity: str) -> dict[str, str]:
        """Reason code of each rule of an entity that references another -> column with the reference."""
        return {rule.code: rule.column for rule in self.of(entity) if rule.reference is not None}

    def placeholders_of(self, entity: str, column: str) -> list[str]:
        """Null markers of a column, in lower case."""
        spellings = [*self.placeholders.get(ANY, ()), *self.placeholders.get(f"{entity}.{column}", ())]
        return sorted({text.strip().lower() for text in spellings} - {""})


def load_rules(*folders: str | None) -> QualityRules:
    """Load and merge the rules of all YAML files in the folders, in file name order.

    Raises:
        ConfigError: a file is invalid; the message names file, key, value and the allowed values.
    """
    parts = []
    for folder in (Path(name) for name in folders if name is not None):
        if not folder.is_dir():
            raise ConfigError(
                f"clean.rules_dir: {folder} is not a folder. Set it to the folder with the quality rules."
            )
        parts += [validated(QualityRules, read_yaml(path), origin=str(path)) for path in sorted(folder.glob("*.yaml"))]
    return QualityRules(
        placeholders=_merged([part.placeholders for part in parts]),
        ambiguous_placeholders=_merged([part.ambiguous_placeholders for part in parts]),
        survivorship={key: how for part in parts for key, how in part.survivorship.items()},
        affirmative=[text for part in parts for text in part.affirmative],
        negative=[text for part in parts for text in part.negative],
        tolerated=[text for part in parts for text in part.tolerated],
        rules=[rule for part in parts for rule in part.rules],
        expectations=[expectation for part in parts for expectation in part.expectations],
    )


def _merged(lists: Sequence[dict[str, list[str]]]) -> dict[str, list[str]]:
    merged: dict[str, list[str]] = {}
    for part in lists:
        for key, spellings in part.items():
            merged.setdefault(key, []).extend(spellings)
    return merged
