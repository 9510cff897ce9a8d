"""Declared features: what is measured over which events, or which attribute of the customer is a feature."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from crm_spark.contracts.features import FEATURE_CUSTOMER
from crm_spark.contracts.silver import ENTITIES, EVENT_TIMES
from crm_spark.core.config import Config, read_yaml, validated
from crm_spark.core.context import JobContext
from crm_spark.core.errors import ConfigError
from crm_spark.features.sensitive import require_no_sensitive, sensitive_words
from crm_spark.sources.config import Source, attributes_of, load_sources
from crm_spark.sources.mappings import Attribute

MEASURABLE = tuple(entity for entity in EVENT_TIMES if entity != "person")
"""Entities with a person and a time."""
LASTING = ("subscription",)
"""Entities whose records last until an end."""
Measure = Literal[
    "count", "count_distinct", "sum", "mean", "min", "max", "days_since_first", "days_since_last", "num_active"
]
ReasonWhen = Literal["low", "high", "zero", "positive"]
_NUMERIC = ("double", "decimal", "integer")
_COLUMN_TYPES = {"count_distinct": ("string",), "sum": _NUMERIC, "mean": _NUMERIC, "min": _NUMERIC, "max": _NUMERIC}
"""Measure of a column -> types that it accepts."""
_SETTLED = {
    "order": ("channel", "location_id", "freight", "discount", "tax", "total", "amount", "discount_amount"),
    "payment": ("method", "instalments", "value", "amount"),
    "subscription": ("product_id", "location_id", "billing_period"),
    "usage": ("kind", "subscription_id", "quantity", "unit", "value", "amount"),
    "appointment": ("kind", "status", "product_id", "location_id", "price", "amount"),
    "deal": ("kind", "channel"),
    "interaction": ("kind", "topic", "product_id", "language"),
    "feedback": ("kind", "product_id", "rating", "label", "language"),
    "campaign_contact": ("campaign_id", "channel"),
    "campaign_response": ("campaign_id", "kind", "score"),
}
"""Columns that are final once the event has happened. Others, such as the state of an order or the next renewal, change in place:
in an earlier snapshot they would tell what happened later."""
_LABELS = ("has_lapsed", "revenue")
"""Columns of training examples that are not features."""
_WHY = "Columns that change after the event would tell an earlier snapshot what happened later"
FeatureName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class DeclaredFeature(Config):
    """Feature of a customer, measured over the records of one entity up to the snapshot."""

    title: str
    """Title in the report."""
    entity: str
    """Entity whose records are measured."""
    measure: Measure
    """count: number of records; count_distinct, sum, mean, min, max: of `column`; days_since_first, days_since_last: days from the oldest
    or newest record; num_active: number of subscriptions that have begun and not ended."""
    column: str | None = None
    """Column that is measured; null for count, days_since_first, days_since_last and num_active."""
    where: dict[str, str | list[str]] = {}
    """Column of text -> value, or list of values, that a record must have. Only columns that are final once the event has
    happened, such as `kind`; see docs/mappings.md."""
    window_days: Annotated[int, Field(ge=1, le=3660)] | None = None
    """Only records of so many days up to the snapshot; null: all."""
    reason: str | None = None
    """Words of the report where the feature raises the churn risk; null: it is not given as a reason."""
    reason_when: ReasonWhen | None = None
    """Value for which the words of `reason` are true: low or high (among all customers), zero or positive; null with no reason."""

    @model_validator(mode="after")
    def _check_definition(self) -> "DeclaredFeature":
        if self.entity not in MEASURABLE:
            raise ValueError(f"entity {self.entity}: expected one of {', '.join(MEASURABLE)}")
        types = {column.name: column.type.typeName() for column in ENTITIES[self.entity].columns}
        settled = {name: types[name] for name in _SETTLED[self.entity]}
        accepted = _COLUMN_TYPES.get(self.measure)
        if (self.column is None) != (accepted is None):
            raise ValueError(f"measure {self.measure}: {'set' if accepted else 'remove'} column")
        if accepted and settled.get(self.column or "") not in accepted:
            fitting = ", ".join(name for name, kind in settled.items() if kind in accepted)
            if not fitting:
                raise ValueError(f"measure {self.measure}: {self.entity} has no column for it. {_WHY}")
            raise ValueError(f"column {self.column}: {self.measure} of {self.entity} takes one of {fitting}. {_WHY}")
        if self.measure == "num_active" and self.entity not in LASTING:
            raise ValueError(f"measure num_active: expected entity {', '.join(LASTING)}")
        for name in self.where:
            if settled.get(name) != "string":
                fitting = ", ".join(n for n, kind in settled.items() if kind == "string")
                raise ValueError(f"where.{name}: {self.entity} can be restricted by {fitting}. {_WHY}")
        if (self.reason is None) != (self.reason_when is None):
            raise ValueError("set both of reason and reason_when, or neither")
        return self


class FeatureFile(Config):
    """File of declared features."""

    features: dict[FeatureName, DeclaredFeature] = {}
    """Features by name."""


@dataclass(frozen=True)
class AttributeFeature:
    """Attribute of a person as a feature.

    Attributes:
        attribute: name of the attribute.
        declaration: its declaration.
        value: for a category, the value that the feature tells apart.
    """

    attribute: str
    declaration: Attribute
    value: str | None = None


@dataclass(frozen=True)
class DeclaredFeatures:
    """All declared features by name."""

    of_events: Mapping[str, DeclaredFeature] = field(default_factory=dict)
    of_attributes: Mapping[str, AttributeFeature] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """Names, sorted."""
        return tuple(sorted({**self.of_events, **self.of_attributes}))

    @property
    def reasons(self) -> dict[str, str]:
        """Words of the report by feature, for those that have some."""
        return {name: feature.reason for name, feature in self.of_events.items() if feature.reason}

    @property
    def reason_conditions(self) -> dict[str, ReasonWhen]:
        """Value for which the words are true, by feature."""
        return {name: f.reason_when for name, f in self.of_events.items() if f.reason_when is not None}

    @property
    def meaning(self) -> dict[str, Any]:
        """JSON-able definition without words: fitted models depend on it."""
        words = {"title", "reason", "reason_when"}
        events = {name: f.model_dump(mode="json", exclude=words) for name, f in sorted(self.of_events.items())}
        return {**self.definition, "events": events} if self.names else {}

    @property
    def definition(self) -> dict[str, Any]:
        """JSON-able definition: a change of it changes the features."""
        return {
            "events": {name: feature.model_dump(mode="json") for name, feature in sorted(self.of_events.items())},
            "attributes": {
                name: [feature.attribute, feature.declaration.type, feature.value]
                for name, feature in sorted(self.of_attributes.items())
            },
        }


def declared_features(files: Sequence[str], sources_dir: str, sensitive_files: Sequence[str] = ()) -> DeclaredFeatures:
    """Load the declared features.

    Args:
        files: files of features.
        sources_dir: folder of the sources, whose attributes may be features.
        sensitive_files: files with words that no feature may have in its name.

    Raises:
        ConfigError: a file is invalid, a name is used twice, or a feature is sensitive.
    """
    sensitive = sensitive_words(sensitive_files)
    of_events: dict[str, DeclaredFeature] = {}
    for path in files:
        loaded = validated(FeatureFile, read_yaml(Path(path)), origin=path).features
        _require_new_names(loaded, of_events, origin=path)
        require_no_sensitive(loaded, sensitive, origin=path)
        of_events |= loaded
    of_attributes = attribute_features(load_sources(Path(sources_dir)))
    _require_new_names(of_attributes, of_events, origin=f"{sources_dir}: attributes")
    require_no_sensitive(of_attributes, sensitive, origin=f"{sources_dir}: attributes")
    return DeclaredFeatures(of_events, of_attributes)


def features_of(ctx: JobContext) -> DeclaredFeatures:
    """The declared features of a company.

    Raises:
        ConfigError: a file is invalid, a name is used twice, or a feature is sensitive.
    """
    cfg = ctx.settings.featurise
    return declared_features(cfg.features, ctx.settings.ingest.sources_dir, cfg.sensitive_attributes)


def _require_new_names(names: Iterable[str], known: Iterable[str], *, origin: str) -> None:
    taken = {column.name for column in FEATURE_CUSTOMER.columns} | set(_LABELS) | set(known)
    if used := sorted(taken & set(names)):
        raise ConfigError(f"{origin}: there is another feature or column called {used[0]}. Choose another name.")


def attribute_features(sources: Iterable[Source]) -> dict[str, AttributeFeature]:
    """Features from the attributes of people with the role `feature`.

    Numbers keep their name; a flag is 0 or 1; a date is the number of days since then, `days_since_NAME`; a category has a
    feature of 0 or 1 for each of its values, `NAME_is_VALUE`.
    """
    found: dict[str, AttributeFeature] = {}
    for name, attribute in attributes_of(sources, "person").items():
        if attribute.role != "feature":
            continue
        if attribute.type == "category":
            of_values = [
                (f"{name}_is_{_plain(v)}", AttributeFeature(name, attribute, v)) for v in attribute.feature_values
            ]
        else:
            plain_name = f"days_since_{name}" if attribute.type == "date" else name
            of_values = [(plain_name, AttributeFeature(name, attribute))]
        for feature_name, feature in of_values:
            if feature_name in found:
                raise ConfigError(
                    f"attribute {name}: two of its values would be the feature {feature_name}. Map them to other words."
                )
            found[feature_name] = feature
    return found


def _plain(value: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in value.lower())
