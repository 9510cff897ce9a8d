"""Settings of the decide stage and the model of the strategy file."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from crm_spark.contracts.features import FEATURE_COLUMNS
from crm_spark.core.config import Config

FACTS = {
    **{column.name: "number" for column in FEATURE_COLUMNS},
    "churn_probability": "number",
    "churn_risk": "text",
    "expected_revenue": "number",
    "value_band": "text",
    "segment": "text",
    "last_text_label": "text",
    "has_recommendation": "boolean",
}
"""Facts available to conditions, with their type: every feature, and the results of the models. A condition on an unknown
value does not hold."""
DECLARED = "declared."
"""Prefix of facts that are declared features."""
_OPERATORS = {"number": {"at_least", "at_most", "is"}, "text": {"is", "is_one_of"}, "boolean": {"is"}}


class Condition(Config):
    """Comparison of a fact with a value: exactly one of at_least, at_most, is and is_one_of is set, the others are null."""

    fact: str
    """Fact about the customer; `declared.NAME` is a declared feature."""
    at_least: float | None = None
    """The fact is a number at or above this bound."""
    at_most: float | None = None
    """The fact is a number at or below this bound."""
    is_: Annotated[str | bool | float | None, Field(alias="is")] = None
    """The fact equals this value."""
    is_one_of: list[str] | None = None
    """The fact is one of these values."""

    @model_validator(mode="after")
    def _one_comparison(self) -> "Condition":
        kind = "number" if self.fact.startswith(DECLARED) else FACTS.get(self.fact)
        if kind is None:
            raise ValueError(
                f"unknown fact {self.fact}; known facts: {', '.join(sorted(FACTS))}, and {DECLARED}NAME for declared features"
            )
        comparisons = {"at_least": self.at_least, "at_most": self.at_most, "is": self.is_, "is_one_of": self.is_one_of}
        given = {name for name, value in comparisons.items() if value is not None}
        allowed = _OPERATORS[kind]
        if len(given) != 1 or not given <= allowed:
            raise ValueError(f"{self.fact}: give exactly one of {', '.join(sorted(allowed))}")
        return self


class Action(Config):
    """An action for customers who meet all conditions; the first matching action of the list is chosen."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Name of the action, stored in `actions.next_best`."""
    title: str
    """Title in the report."""
    reason: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
    """Reason code."""
    is_contact: bool = True
    """Whether the action contacts the customer and therefore requires consent."""
    when: list[Condition] = []
    """Conditions that must all hold; empty: every customer qualifies."""


class Strategy(Config):
    """Actions in order of precedence, consent rule and control group."""

    require_consent: Literal["given", "not_refused"] = "not_refused"
    """given: contact only customers who consented; not_refused: contact all who have not refused."""
    holdout_fraction: Annotated[float, Field(ge=0, le=0.5)] = 0.1
    """Fraction of the customers of each action that form the hold-out (control group)."""
    actions: list[Action]
    """Actions in order of precedence."""

    @model_validator(mode="after")
    def _unique_names(self) -> "Strategy":
        names = [action.name for action in self.actions]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise ValueError(f"actions: duplicate names: {', '.join(repeated)}")
        return self


class DecideConfig(Config):
    """Settings of the decide stage."""

    strategy: str = "conf/strategy/default.yaml"
    """YAML file with the strategy."""
