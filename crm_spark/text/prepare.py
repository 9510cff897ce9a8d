"""Model input text: title and text with personal data redacted; the same in shard and score."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.gold import CUSTOMER
from crm_spark.contracts.silver import FEEDBACK, INTERACTION
from crm_spark.core.days import day_of
from crm_spark.core.tables import TableStore
from crm_spark.customers.links import with_customer_id
from crm_spark.governance.redaction import redacted, without_names


def input_text(title: Column, text: Column) -> Column:
    """Return title and text as one redacted string; null if both are empty."""
    return F.when(_has_text(title, text), redacted(F.concat_ws("\n", title, text)))


def _has_text(title: Column, text: Column) -> Column:
    return F.concat_ws("\n", title, text).rlike(r"\S")


def all_texts(tables: TableStore, zone: str) -> DataFrame:
    """Grain: system x entity x record_id. All texts of silver with hash, writer, day in an IANA time zone and, for feedback, label.

    `person_id` identifies the writer within a system, `customer_id` across systems.
    """
    # Filter empty texts before redaction: a filter on the redacted text would redact every text twice.
    feedback = tables.read(FEEDBACK).where(_has_text(F.col("plain_title"), F.col("plain_text")))
    feedback = feedback.select(
        "system",
        F.lit("feedback").alias("entity"),
        F.col("feedback_id").alias("record_id"),
        "source",
        "person_id",
        "product_id",
        day_of("given_at", zone).alias("written_on"),
        "label",
        input_text(F.col("plain_title"), F.col("plain_text")).alias("text"),
        "language",
    )
    interaction = tables.read(INTERACTION).where(
        F.col("plain_text").isNotNull() & _has_text(F.col("topic"), F.col("plain_text"))
    )
    interaction = interaction.select(
        "system",
        F.lit("interaction").alias("entity"),
        F.col("interaction_id").alias("record_id"),
        "source",
        "person_id",
        "product_id",
        day_of("happened_at", zone).alias("written_on"),
        F.lit(None).cast("string").alias("label"),
        input_text(F.col("topic"), F.col("plain_text")).alias("text"),
        "language",
    )
    both = feedback.unionByName(interaction)
    names = tables.read(CUSTOMER).select("customer_id", "given_name", "family_name")
    both = with_customer_id(both, tables, how="left").join(names, "customer_id", "left")
    both = both.withColumn("text", without_names(F.col("text"), F.col("given_name"), F.col("family_name")))
    both = both.drop("given_name", "family_name")
    return both.withColumn("text_hash", F.sha2("text", 256)).withColumn("num_characters", F.length("text").cast("int"))
