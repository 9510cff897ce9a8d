"""Cleaning rules as typed data: which check, on which column of which noun, and what follows."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator
from pyspark.sql import Column
from pyspark.sql import functions as F

from crm_spark.contracts.silver import NOUNS
from crm_spark.core.config import Config, read_yaml, validated
from crm_spark.core.errors import ConfigError
from crm_spark.core.hashing import sha256_of
from crm_spark.quality.checks import CHECKS, Parameter


class Rule(Config):
    """One rule of one column."""

    code: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Reason code: what the quarantine says."""
    noun: str
    column: str
    check: str
    params: dict[str, Parameter] = {}
    on_null: Literal["pass", "fail"] = "pass"
    """What an unknown value means."""
    unless: str | None = None
    """A boolean column of the noun; where it is true the rule does not apply."""
    severity: Literal["warn", "quarantine"] = "quarantine"
    version: Annotated[int, Field(ge=1)] = 1

    @field_validator("check")
    @classmethod
    def _known_check(cls, name: str) -> str:
        if name not in CHECKS:
            raise ValueError(f"no such check; known: {', '.join(sorted(CHECKS))}")
        return name

    @model_validator(mode="after")
    def _fits_the_noun(self) -> "Rule":
        if self.noun not in NOUNS:
            raise ValueError(f"no such noun {self.noun}; known: {', '.join(NOUNS)}")
        known = NOUNS[self.noun].column_names
        for column in (self.column, *([self.unless] if self.unless else [])):
            if column not in known:
                raise ValueError(f"{self.noun} has no column {column}; known: {', '.join(known)}")
        return self

    @property
    def failed(self) -> Column:
        """True where a row breaks the rule; never null."""
        verdict = F.coalesce(CHECKS[self.check](F.col(self.column), self.params), F.lit(self.on_null == "fail"))
        return verdict if self.unless is None else verdict & ~F.coalesce(F.col(self.unless), F.lit(False))


class QualityRules(Config):
    """What clean holds every source to."""

    placeholders: list[str] = []
    """Spellings of `no value`, compared without case; they become null."""
    tolerated: list[str] = []
    """`noun.column` where a value that cannot be converted becomes null and the row stays."""
    rules: list[Rule] = []

    @property
    def version(self) -> str:
        """Digest of the whole rule set."""
        return sha256_of(self.model_dump(mode="json"))[:16]

    def of(self, noun: str, severity: str = "quarantine") -> list[Rule]:
        """The rules of one noun and severity."""
        return [rule for rule in self.rules if rule.noun == noun and rule.severity == severity]


def load_rules(folder: Path) -> QualityRules:
    """The rules of every YAML file in a folder, in the order of the files' names.

    Raises:
        ConfigError: names file, key, value and what is allowed.
    """
    if not folder.is_dir():
        raise ConfigError(f"clean.rules_dir: {folder} is not a folder. Give the folder with the quality rules.")
    parts = [validated(QualityRules, read_yaml(path), origin=str(path)) for path in sorted(folder.glob("*.yaml"))]
    return QualityRules(
        placeholders=[text for part in parts for text in part.placeholders],
        tolerated=[text for part in parts for text in part.tolerated],
        rules=[rule for part in parts for rule in part.rules],
    )
