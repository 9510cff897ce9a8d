"""The text a model sees: title and text, personal data taken out. The same in sharding and in scoring."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.silver import FEEDBACK, INTERACTION
from crm_spark.core.tables import TableStore

_EMAIL = (r"[\w.+-]+@[\w-]+(\.[\w-]+)+", "[email]")
_NUMBERS = (
    (r"\b[A-Z]{2}\d{2}( ?[A-Z0-9]{4}){3,7}( ?[A-Z0-9]{1,4})?\b", "[iban]"),
    (r"\b\d(?:[ -]?\d){12,18}\b", "[card]"),
    (r"(?:\+|\b00|\b0)\d(?:[ /()-]{0,2}\d){6,13}\b", "[phone]"),
)


def redacted(text: Column) -> Column:
    """E-mail addresses, IBANs, card and phone numbers replaced by what they are."""
    # Few texts hold a sign of any: to look for that is many times cheaper than to try the patterns.
    without = F.when(text.contains("@"), F.regexp_replace(text, *_EMAIL)).otherwise(text)
    numbers = without
    for pattern, name in _NUMBERS:
        numbers = F.regexp_replace(numbers, pattern, name)
    return F.when(without.rlike("[0-9]"), numbers).otherwise(without)


_LEAST_NAME = 3
"""Letters of a name that is taken out; a shorter one is another word as well."""


def without_names(text: Column, *names: Column) -> Column:
    """The words of the writer's own names replaced by what they are, in any case; parts of other words stay."""
    words = F.filter(F.split(F.concat_ws(" ", *names), r"[^\p{L}\p{M}']+"), lambda word: F.length(word) >= _LEAST_NAME)
    any_of = F.array_join(words, "|")
    pattern = F.concat(F.lit(r"(?iu)(?<![\p{L}\p{N}])(?:"), any_of, F.lit(r")(?![\p{L}\p{N}])"))
    # Each writer's pattern is another: few need one. What is not ASCII has more than one way to be another case.
    small = F.lower(text)
    is_plain = (F.octet_length(text) == F.length(text)) & (F.octet_length(any_of) == F.length(any_of))
    is_absent = is_plain & ~F.exists(words, lambda word: small.contains(F.lower(word)))
    return F.when((any_of == "") | is_absent, text).otherwise(F.regexp_replace(text, pattern, F.lit("[name]")))


def read_text(title: Column, text: Column) -> Column:
    """Title and text in one, redacted; null where there is neither."""
    return F.when(_is_written(title, text), redacted(F.concat_ws("\n", title, text)))


def _is_written(title: Column, text: Column) -> Column:
    return F.concat_ws("\n", title, text).rlike(r"\S")


def all_texts(tables: TableStore) -> DataFrame:
    """Grain: system x noun x record_id. Every text in silver with its hash, writer, day and, for feedback, label.

    `person_id` names the writer in one system, `customer_id` over all systems.
    """
    # Rows without a text go first: a filter on what was redacted would redact each text once more.
    feedback = tables.read(FEEDBACK).where(_is_written(F.col("plain_title"), F.col("plain_text")))
    feedback = feedback.select(
        "system",
        F.lit("feedback").alias("noun"),
        F.col("feedback_id").alias("record_id"),
        "source",
        "person_id",
        "product_id",
        F.to_date("given_at").alias("written_on"),
        "label",
        read_text(F.col("plain_title"), F.col("plain_text")).alias("text"),
        "language",
    )
    interaction = tables.read(INTERACTION).where(
        F.col("plain_text").isNotNull() & _is_written(F.col("topic"), F.col("plain_text"))
    )
    interaction = interaction.select(
        "system",
        F.lit("interaction").alias("noun"),
        F.col("interaction_id").alias("record_id"),
        "source",
        "person_id",
        "product_id",
        F.to_date("happened_at").alias("written_on"),
        F.lit(None).cast("string").alias("label"),
        read_text(F.col("topic"), F.col("plain_text")).alias("text"),
        "language",
    )
    both = feedback.unionByName(interaction)
    links = tables.read(CUSTOMER_LINK).select("system", "person_id", "customer_id")
    names = tables.read(CUSTOMER).select("customer_id", "given_name", "family_name")
    both = both.join(links, ["system", "person_id"], "left").join(names, "customer_id", "left")
    both = both.withColumn("text", without_names(F.col("text"), F.col("given_name"), F.col("family_name")))
    both = both.drop("given_name", "family_name")
    return both.withColumn("text_hash", F.sha2("text", 256)).withColumn("num_characters", F.length("text").cast("int"))
