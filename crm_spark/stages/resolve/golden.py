"""Golden record: the newest non-null value of each column and attribute over all systems."""

from collections.abc import Collection

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.types import ATTRIBUTES

SURVIVING = ("given_name", "family_name", "email", "phone", "street", "postcode", "city", "country", "birth_on")


def golden_record(
    members: DataFrame,
    people: DataFrame,
    first_seen: DataFrame,
    *,
    known_persons: DataFrame | None = None,
    attributes: Collection[str] = (),
) -> DataFrame:
    """Build golden records. Grain: customer_id.

    Args:
        members: system, person_id, customer_id.
        people: silver.person.
        first_seen: system, person_id, first_seen_at (earliest event), is_customer (has an event other than those of campaigns
            and sales teams); includes people without a person record.
        known_persons: system, person_id of people with a record in a source other than those of campaigns, leads and deals;
            None: all people.
        attributes: names of the attributes of people.
    """
    keys = ["system", "person_id"]
    known = members.join(people, keys, "left").join(first_seen, keys, "left")
    consent = F.when(F.min("has_marketing_consent") == F.lit(False), False).when(F.max("has_marketing_consent"), True)
    registered = people.select(*keys) if known_persons is None else known_persons
    known = known.join(registered.distinct().withColumn("_is_registered", F.lit(True)), keys, "left")
    # Registered people without events are customers who have not bought yet.
    is_customer = F.coalesce("is_customer", F.lit(False)) | F.col("_is_registered").isNotNull()
    records = known.groupBy("customer_id").agg(
        F.count(F.lit(1)).cast("int").alias("num_records"),
        F.sort_array(F.collect_set("system")).alias("systems"),
        *(_newest(name).alias(name) for name in SURVIVING),
        consent.alias("has_marketing_consent"),
        F.min(F.least("joined_at", "first_seen_at")).alias("joined_at"),
        (~F.max(is_customer)).alias("is_prospect"),
    )
    if not attributes:
        return records.withColumn("attributes", F.lit(None).cast(ATTRIBUTES))
    return records.join(_newest_attributes(known, attributes), "customer_id", "left")


def _newest_attributes(known: DataFrame, names: Collection[str]) -> DataFrame:
    """Grain: customer_id. `attributes`, sorted by name."""
    values = known.withColumn("_attribute", F.explode("attributes")).where(F.col("_attribute.name").isin(*names))
    newest = values.groupBy("customer_id", "_attribute.name").agg(F.max_by("_attribute", _age()).alias("_attribute"))
    return newest.groupBy("customer_id").agg(F.array_sort(F.collect_list("_attribute")).alias("attributes"))


def _newest(name: str) -> Column:
    return F.max_by(F.col(name), F.when(F.col(name).isNotNull(), _age()))


def _age() -> Column:
    return F.struct(
        F.coalesce("updated_at", F.lit("1970-01-01").cast("timestamp")), F.col("system"), F.col("person_id")
    )
