"""Golden record: one value per field over all linked records, where it comes from, and the other values."""

from collections.abc import Sequence
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.gold import OTHER_VALUES, PROVENANCE
from crm_spark.contracts.types import ATTRIBUTES
from crm_spark.stages.resolve.golden_config import GoldenConfig
from crm_spark.stages.resolve.golden_fields import ADDRESS, ADDRESS_PARTS, COLUMNS, GoldenField, golden_fields

MAX_OTHER_VALUES = 10
"""Maximum number of other values per field."""
_ALL = "_all"
"""Records of a customer as an array, newest first."""
_WINNER = "_winner_"
"""Prefix of the surviving candidate of a field."""


def golden_record(
    members: DataFrame,
    people: DataFrame,
    first_seen: DataFrame,
    *,
    known_persons: DataFrame | None = None,
    fields: Sequence[GoldenField] = golden_fields(GoldenConfig(), {}),
) -> DataFrame:
    """Build golden records. Grain: customer_id.

    Args:
        members: system, person_id, customer_id.
        people: silver.person.
        first_seen: system, person_id, first_seen_at (earliest event), is_customer (has an event other than those of campaigns
            and sales teams); includes people without a person record.
        known_persons: system, person_id of people with a record in a source other than those of campaigns, leads and deals;
            None: all people.
        fields: fields with their survivorship policies.
    """
    keys = ["system", "person_id"]
    known = members.join(people, keys, "left").join(first_seen, keys, "left")
    registered = people.select(*keys) if known_persons is None else known_persons
    known = known.join(registered.distinct().withColumn("_is_registered", F.lit(True)), keys, "left")
    consent = F.when(F.min("has_marketing_consent") == F.lit(False), False).when(F.max("has_marketing_consent"), True)
    # Registered people without events are customers who have not bought yet.
    is_customer = F.coalesce("is_customer", F.lit(False)) | F.col("_is_registered").isNotNull()
    # One shuffle: the windows of the policies and the aggregation use the same partitions.
    records = _with_candidates(known.repartition("customer_id"), fields).groupBy("customer_id")
    customers = records.agg(
        F.count(F.lit(1)).cast("int").alias("num_records"),
        F.sort_array(F.collect_set("system")).alias("systems"),
        *(F.max(_candidate(field)).alias(_winner(field)) for field in fields),
        F.collect_list("_record").alias(_ALL),
        (F.min("country") == F.max("country")).alias("_has_one_country"),
        consent.alias("has_marketing_consent"),
        F.min(F.least("joined_at", "first_seen_at")).alias("joined_at"),
        (~F.max(is_customer)).alias("is_prospect"),
    )
    return _with_other_values(_with_address(customers), fields)


def _with_candidates(known: DataFrame, fields: Sequence[GoldenField]) -> DataFrame:
    """Grain: system, person_id. Adds `_record`, the values of a record, and the candidate of each field."""
    values = [field.value.alias(_value(field.name)) for field in fields]
    candidates = {_candidate(field): field.candidate for field in fields}
    return known.withColumns({"_record": F.struct("updated_at", "system", "person_id", *values), **candidates})


def _with_address(customers: DataFrame) -> DataFrame:
    """Grain unchanged. Adds the address parts, and `_country_from`, the record that the country was taken from.

    A missing country is filled only if all records name the same one, in a record whose address does not differ.
    """
    chosen, own = F.col(f"{_WINNER}{ADDRESS}")["value"], _value(ADDRESS)
    newest_first = F.when(F.col("num_records") > 1, F.sort_array(_ALL, asc=False))
    fitting = F.filter(_ALL, lambda r: r[own]["country"].isNotNull() & _is_within(r[own], chosen, ADDRESS_PARTS[:-1]))
    is_open = chosen.isNotNull() & chosen["country"].isNull() & F.col("_has_one_country")
    customers = customers.withColumn(_ALL, newest_first)
    customers = customers.withColumn("_country_from", F.when(is_open, F.try_element_at(fitting, F.lit(1))))
    parts = {part: chosen[part] for part in ADDRESS_PARTS}
    country = F.coalesce(parts["country"], F.col("_country_from")[own]["country"])
    return customers.withColumns({**parts, "country": country})


def _is_within(part_of: Column, address: Column, parts: Sequence[str]) -> Column:
    """Whether each part of an address is unknown or that of `address`."""
    return reduce(Column.__and__, (part_of[part].isNull() | part_of[part].eqNullSafe(address[part]) for part in parts))


def _with_other_values(customers: DataFrame, fields: Sequence[GoldenField]) -> DataFrame:
    """Grain: customer_id. The columns of gold.customer."""
    customers = customers.withColumns({_others(field): _other_texts(field) for field in fields})
    others = F.concat(*(_other_values(field) for field in fields))
    num_left_out = reduce(
        Column.__add__,
        (F.greatest(F.coalesce(F.size(_others(f)), F.lit(0)) - MAX_OTHER_VALUES, F.lit(0)) for f in fields),
    )
    attributes = F.array_compact(F.array(*(F.col(_winner(f))["value"] for f in fields if f.attribute is not None)))
    has_attributes = any(field.attribute is not None for field in fields)
    customers = customers.withColumns(
        {
            "attributes": (attributes if has_attributes else F.array()).cast(ATTRIBUTES),
            "provenance": _provenance(fields).cast(PROVENANCE),
            "other_values": F.when(F.col("num_records") > 1, others).cast(OTHER_VALUES),
            "num_values_left_out": num_left_out,
        }
    )
    return customers.select(
        "customer_id",
        "num_records",
        "systems",
        *(F.col(f"{_WINNER}{name}")["value"].alias(name) for name in COLUMNS),
        *ADDRESS_PARTS,
        "has_marketing_consent",
        "joined_at",
        "is_prospect",
        *(_or_null(F.col(name)).alias(name) for name in ("attributes", "provenance", "other_values")),
        "num_values_left_out",
    )


def _provenance(fields: Sequence[GoldenField]) -> Column:
    origins = [(field.name, F.col(_winner(field)), field.deciding_policy(F.col(_winner(field)))) for field in fields]
    origins.append(("country", F.col("_country_from"), F.lit("filled")))
    entries = [
        F.when(
            record["system"].isNotNull(),
            F.struct(
                F.lit(name).alias("field"),
                record["system"].alias("system"),
                record["person_id"].alias("person_id"),
                record["updated_at"].alias("updated_at"),
                policy.alias("policy"),
            ),
        )
        for name, record, policy in origins
    ]
    return F.array_compact(F.array(*entries))


def _other_texts(field: GoldenField) -> Column:
    """Distinct values of the other records as text, newest first; null for a customer with one record."""
    records = F.col(_ALL)
    if field.name == ADDRESS:
        # A part of the surviving address is no other value.
        final = F.struct(*ADDRESS_PARTS)
        records = F.filter(records, lambda record: ~_is_within(record[_value(ADDRESS)], final, ADDRESS_PARTS))
    texts = F.transform(records, lambda record: field.text(record[_value(field.name)]))
    return F.array_except(texts, F.array(field.text(F.col(_winner(field))["value"]), F.lit(None).cast("string")))


def _other_values(field: GoldenField) -> Column:
    """Other values of a field, each with the system of its newest record."""

    def entry(text: Column) -> Column:
        having = F.filter(_ALL, lambda record: field.text(record[_value(field.name)]) == text)
        system = F.try_element_at(having, F.lit(1))["system"]
        return F.struct(F.lit(field.name).alias("field"), text.alias("value"), system.alias("system"))

    return F.transform(F.slice(_others(field), 1, MAX_OTHER_VALUES), entry)


def _or_null(array: Column) -> Column:
    return F.when(F.size(array) > 0, array)


def _candidate(field: GoldenField) -> str:
    return f"_candidate_{field.name}"


def _winner(field: GoldenField) -> str:
    return f"{_WINNER}{field.name}"


def _value(name: str) -> str:
    return f"value_{name}"


def _others(field: GoldenField) -> str:
    return f"_others_{field.name}"
