"""Golden record: the newest non-null value of each attribute over all systems."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

SURVIVING = ("given_name", "family_name", "email", "phone", "street", "postcode", "city", "country", "birth_on")


def golden_record(members: DataFrame, people: DataFrame, first_seen: DataFrame) -> DataFrame:
    """Build golden records. Grain: customer_id.

    Args:
        members: system, person_id, customer_id.
        people: silver.person.
        first_seen: system, person_id, first_seen_at (earliest event), including people without a person record.
    """
    keys = ["system", "person_id"]
    known = members.join(people, keys, "left").join(first_seen, keys, "left")
    consent = F.when(F.min("has_marketing_consent") == F.lit(False), False).when(F.max("has_marketing_consent"), True)
    return known.groupBy("customer_id").agg(
        F.count(F.lit(1)).cast("int").alias("num_records"),
        F.sort_array(F.collect_set("system")).alias("systems"),
        *(_newest(name).alias(name) for name in SURVIVING),
        consent.alias("has_marketing_consent"),
        F.min(F.least("joined_at", "first_seen_at")).alias("joined_at"),
    )


def _newest(name: str) -> Column:
    age = F.struct(F.coalesce("updated_at", F.lit("1970-01-01").cast("timestamp")), F.col("system"), F.col("person_id"))
    return F.max_by(F.col(name), F.when(F.col(name).isNotNull(), age))
