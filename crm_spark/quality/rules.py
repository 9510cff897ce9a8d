"""Cleaning rules as typed data: which check, on which column of which entity, and what follows."""

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
"""Key of the placeholders that hold for every column."""
Severity = Literal["warn", "quarantine", "block"]


class Rule(Config):
    """One rule of one column.

    A row that breaks it: `warn`, is noted and stays; `quarantine`, is set aside; `block`, holds its whole delivery back.
    """

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Reason code: what the quarantine says."""
    entity: str
    column: str
    check: str
    params: dict[str, Parameter] = {}
    on_null: Literal["pass", "fail"] = "pass"
    """What an unknown value means."""
    unless: str | None = None
    """A boolean column of the entity; where it is true the rule does not apply."""
    severity: Severity = "quarantine"
    version: Annotated[int, Field(ge=1)] = 1

    @model_validator(mode="after")
    def _fits_the_entity(self) -> "Rule":
        if self.check not in CHECKS:
            raise ValueError(f"no such check {self.check}; known: {', '.join(sorted(CHECKS))}")
        if self.entity not in ENTITIES:
            raise ValueError(f"no such entity {self.entity}; known: {', '.join(ENTITIES)}")
        known = ENTITIES[self.entity].column_names
        for column in (self.column, *([self.unless] if self.unless else [])):
            if column not in known:
                raise ValueError(f"{self.entity} has no column {column}; known: {', '.join(known)}")
        if problem := CHECKS[self.check].problem(self.params, known):
            raise ValueError(f"{self.check}: {problem}")
        if self.reference is not None:
            entity, key = self.reference
            if entity not in ENTITIES:
                raise ValueError(f"{self.check}: no such entity {entity}; known: {', '.join(ENTITIES)}")
            if key not in ENTITIES[entity].column_names:
                raise ValueError(f"{self.check}: no such column {key} of {entity}")
        return self

    @property
    def reference(self) -> tuple[str, str] | None:
        """The entity and column in which the value must stand."""
        return (str(self.params["entity"]), str(self.params["key"])) if self.check == "exists_in" else None

    @property
    def failed(self) -> Column:
        """True where a row breaks the rule; never null."""
        check = CHECKS[self.check]
        params = {k: F.col(str(v)) if k in check.columns else v for k, v in self.params.items()}
        verdict = F.coalesce(check.failed(F.col(self.column), **params), F.lit(self.on_null == "fail"))
        return verdict if self.unless is None else verdict & ~F.coalesce(F.col(self.unless), F.lit(False))


class QualityRules(Config):
    """What clean holds every source to."""

    placeholders: dict[str, list[str]] = {}
    """Spellings of `no value`, compared without case, for `any` column or a `entity.column`; they become null."""
    affirmative: list[str] = []
    """What means yes, in lower case."""
    negative: list[str] = []
    """What means no, in lower case."""
    tolerated: list[str] = []
    """`entity.column` where a value that cannot be converted becomes null and the row stays."""
    rules: list[Rule] = []
    expectations: list[Expectation] = []

    @model_validator(mode="after")
    def _names_columns(self) -> "QualityRules":
        for name in (*self.tolerated, *(key for key in self.placeholders if key != ANY)):
            entity, _, column = name.partition(".")
            if entity not in ENTITIES or column not in ENTITIES[entity].column_names:
                raise ValueError(f"{name}: no such column; wanted entity.column")
        return self

    @property
    def version(self) -> str:
        """Digest of the whole rule set."""
        return sha256_of(self.model_dump(mode="json"))[:16]

    def of(self, entity: str) -> list[Rule]:
        """The rules of one entity."""
        return [rule for rule in self.rules if rule.entity == entity]

    @property
    def referred_to(self) -> set[str]:
        """The entities in which a value of another must stand."""
        return {rule.reference[0] for rule in self.rules if rule.reference is not None}

    def columns_without_gaps(self, entity: str) -> set[str]:
        """The columns of an entity whose nulls an expectation counts."""
        return {e.column for e in self.expectations if e.entity == entity and e.column is not None}

    def placeholders_of(self, entity: str, column: str) -> list[str]:
        """What means `no value` in a column, in lower case."""
        spellings = [*self.placeholders.get(ANY, ()), *self.placeholders.get(f"{entity}.{column}", ())]
        return sorted({text.strip().lower() for text in spellings} - {""})


def load_rules(*folders: str | None) -> QualityRules:
    """The rules of every YAML file in the folders, in the order of the files' names.

    Raises:
        ConfigError: names file, key, value and what is allowed.
    """
    parts = []
    for folder in (Path(name) for name in folders if name is not None):
        if not folder.is_dir():
            raise ConfigError(f"clean.rules_dir: {folder} is not a folder. Give the folder with the quality rules.")
        parts += [validated(QualityRules, read_yaml(path), origin=str(path)) for path in sorted(folder.glob("*.yaml"))]
    placeholders: dict[str, list[str]] = {}
    for part in parts:
        for key, spellings in part.placeholders.items():
            placeholders.setdefault(key, []).extend(spellings)
    return QualityRules(
        placeholders=placeholders,
        affirmative=[text for part in parts for text in part.affirmative],
        negative=[text for part in parts for text in part.negative],
        tolerated=[text for part in parts for text in part.tolerated],
        rules=[rule for part in parts for rule in part.rules],
        expectations=[expectation for part in parts for expectation in part.expectations],
    )
