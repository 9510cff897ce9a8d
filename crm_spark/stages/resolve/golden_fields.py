"""Fields of the golden record: their values in a record, and the order in which records provide them."""

import difflib
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, Window
from pyspark.sql import functions as F
from pyspark.sql.window import WindowSpec

from crm_spark.contracts.types import ATTRIBUTE_VALUE
from crm_spark.core.errors import ConfigError
from crm_spark.sources.config import Attribute
from crm_spark.sources.mappings import ATTRIBUTE
from crm_spark.stages.resolve.golden_config import FieldPolicy, GoldenConfig

COLUMNS = ("given_name", "family_name", "email", "phone", "birth_on")
"""Fields that are one column of silver.person."""
ADDRESS = "address"
ADDRESS_PARTS = ("street", "postcode", "city", "country")
"""Columns that survive together, from one record."""
_RESERVED = {*COLUMNS, ADDRESS, *ADDRESS_PARTS}


@dataclass(frozen=True)
class GoldenField:
    """Field of the golden record.

    Attributes:
        name: name in settings, provenance and other values.
        policy: survivorship policy.
        attribute: name of the attribute of persons; None for columns and the address.
    """

    name: str
    policy: FieldPolicy
    attribute: str | None = None

    @property
    def value(self) -> Column:
        """Value of a record: a column, an element of `attributes`, or a struct of the address parts; null if unknown."""
        if self.attribute is not None:
            return _element(self.attribute)
        if self.name == ADDRESS:
            return F.when(F.coalesce(*ADDRESS_PARTS).isNotNull(), F.struct(*ADDRESS_PARTS))
        return F.col(self.name)

    def text(self, value: Column) -> Column:
        """A value of the field as text; null if unknown."""
        if self.attribute is not None:
            return F.coalesce(*(value[member].cast("string") for member in ATTRIBUTE_VALUE.fieldNames()[1:]))
        if self.name == ADDRESS:
            locality = F.concat_ws(" ", value["postcode"], value["city"])
            parts = (value["street"], F.when(locality != "", locality), value["country"])
            return F.when(value.isNotNull(), F.concat_ws(", ", *parts))
        return value.cast("string")

    @property
    def candidate(self) -> Column:
        """Value of a record after what orders it: the greatest candidate of a customer survives. Null if the value is unknown."""
        # System and person_id make the order total, so that it does not depend on the order of the rows.
        candidate = F.struct(
            self._level().alias("level"),
            self.score.alias("score"),
            "updated_at",
            "system",
            "person_id",
            self.value.alias("value"),
        )
        return F.when(self.value.isNotNull(), candidate)

    @property
    def score(self) -> Column:
        """Rank of a record's value by the policy; higher survives. 0 where the policy does not apply to it."""
        policy = self.policy
        if policy.policy == "most_trusted":
            ranks = [
                F.when(F.col("system") == system, F.lit(len(policy.systems) - i))
                for i, system in enumerate(policy.systems)
            ]
            return F.coalesce(*ranks, F.lit(0))
        if policy.policy == "most_complete":
            if self.name != ADDRESS:
                return F.length(self.text(self.value))
            return reduce(Column.__add__, (F.col(part).isNotNull().cast("int") for part in ADDRESS_PARTS))
        if policy.policy == "most_frequent":
            return F.count(F.lit(1)).over(self._same_value()).cast("int")
        if policy.policy == "verified":
            is_shared = F.min("system").over(self._same_value()) != F.max("system").over(self._same_value())
            is_marked = _element(policy.verified_by)["flag"] if policy.verified_by else F.lit(False)
            return F.when(is_marked, 2).when(is_shared, 1).otherwise(0)
        return F.lit(0)

    def deciding_policy(self, candidate: Column) -> Column:
        """Name of the policy that chose a candidate: most_recent where the declared one does not apply."""
        return F.when(candidate["score"] > 0, F.lit(self.policy.policy)).otherwise(F.lit("most_recent"))

    def _same_value(self) -> WindowSpec:
        """Records of the customer with the same value; for an address apart from the country, which sources often omit."""
        if self.name == ADDRESS:
            return Window.partitionBy("customer_id", *ADDRESS_PARTS[:-1])
        return Window.partitionBy("customer_id", self.text(self.value))

    def _level(self) -> Column:
        """2: postal address (street with postcode or city); 1: a part of one; 0: country only, or no address field."""
        if self.name != ADDRESS:
            return F.lit(0)
        has_locality = F.coalesce("postcode", "city").isNotNull()
        return (
            F.when(F.col("street").isNotNull() & has_locality, 2)
            .when(F.col("street").isNotNull() | has_locality, 1)
            .otherwise(0)
        )


def golden_fields(
    cfg: GoldenConfig, attributes: Mapping[str, Attribute], systems: Collection[str] | None = None
) -> tuple[GoldenField, ...]:
    """Fields of the golden record with their policies: columns, address, attributes by name.

    Args:
        cfg: policies.
        attributes: declared attributes of persons, by name.
        systems: systems of the sources; None: not checked.

    Raises:
        ConfigError: a policy names a field, an attribute or a system that does not exist.
    """
    names = dict.fromkeys((*COLUMNS, ADDRESS)) | {field_of(name): name for name in sorted(attributes)}
    for name, policy in cfg.fields.items():
        if name not in names:
            raise ConfigError(_unknown_field(name, list(names)))
        flag = policy.verified_by
        if flag and (flag not in attributes or attributes[flag].type != "flag"):
            flags = ", ".join(sorted(n for n, attribute in attributes.items() if attribute.type == "flag")) or "none"
            raise ConfigError(
                f"resolve.golden.fields.{name}.verified_by: {flag} is not an attribute of persons with type: flag (declared: {flags}). "
                "Declare it under `attributes` of the feed `person`, or remove verified_by."
            )
    for key, policy in {
        "default": cfg.default,
        **{f"fields.{name}": policy for name, policy in cfg.fields.items()},
    }.items():
        unknown = [system for system in policy.systems if systems is not None and system not in systems]
        if unknown:
            raise ConfigError(
                f"resolve.golden.{key}.systems: no source has the system {unknown[0]}; expected some of "
                f"{', '.join(sorted(systems or ()))}. Correct or remove the name."
            )
    return tuple(GoldenField(name, cfg.fields.get(name, cfg.default), own) for name, own in names.items())


def field_of(attribute: str) -> str:
    """Name of the field of an attribute: its own, or `attribute_NAME` if a column has the name."""
    return ATTRIBUTE.format(attribute) if attribute in _RESERVED else attribute


def _unknown_field(name: str, known: list[str]) -> str:
    where = f"resolve.golden.fields.{name}"
    if name in ADDRESS_PARTS:
        return f"{where}: {', '.join(ADDRESS_PARTS)} survive together. Set the policy of `address`."
    if name in ("has_marketing_consent", "joined_at"):
        return f"{where}: has a fixed rule (any objection counts; earliest date). Remove the policy."
    nearest = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{nearest[0]}'? " if nearest else ""
    return (
        f"{where}: unknown field; {hint}Known fields: {', '.join(known)}. Correct the name, or declare the attribute under "
        "`attributes` of the feed `person`."
    )


def _element(attribute: str) -> Column:
    """Element of `attributes` with a name; null if the record has none."""
    found = F.filter("attributes", lambda element: element["name"] == attribute)
    return F.try_element_at(found, F.lit(1))
