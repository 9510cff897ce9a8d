"""Columns that every entity of the `silver` layer has, and the function that declares an entity."""

from crm_spark.contracts.types import ATTRIBUTES, ORIGINS, STRING, STRINGS, TIMESTAMP
from crm_spark.core.contract import ColumnContract, Sensitivity, TableContract, added, optional, required

PERSONAL = Sensitivity.PERSONAL

SILVER_ENVELOPE = (
    required("source", STRING, "Name of the source configuration."),
    required("row_id", STRING, "Id of the bronze record."),
    required("record_hash", STRING, "Digest of the business columns."),
    required("batch_id", STRING, "Delivery that contained the record."),
    optional(
        "updated_at",
        TIMESTAMP,
        "Last change according to the source; determines the latest version of a record.",
        former_name="known_at",
    ),
    optional(
        "notes", STRINGS, "Findings that did not quarantine the row, as `code:column`: nulled placeholders, warnings."
    ),
    optional(
        "merged_from",
        ORIGINS,
        "Columns whose value came from another record of the same key, with the record of each; null for none.",
    ),
)

SYSTEM = required("system", STRING, "Namespace of the ids.")
PERSON_ID = optional("person_id", STRING, "Person id in the source system; null for guests.")

ATTRIBUTE_COLUMN = added(
    "attributes",
    ATTRIBUTES,
    "Further columns of the source, declared under `attributes` of its feed; sorted by name. Null for none.",
    PERSONAL,
)
CURRENCY = optional("currency", STRING, "ISO 4217 code of the amounts; null without amounts.")
AMOUNT_DOC = "{} in the company's reporting currency; null without one or without an exchange rate."
PLAIN_TEXT = optional(
    "plain_text", STRING, "Normalised text: mojibake repaired, HTML and invisible characters removed, NFC.", PERSONAL
)
LANGUAGE = optional("language", STRING, "ISO 639-1 code, given by the source or detected; null if undetected.")


def entity(name: str, key: str, doc: str, *columns: ColumnContract) -> TableContract:
    """Contract of an entity with the business key `system`, `key`."""
    return TableContract(
        name=f"silver.{name}",
        grain=("system", key),
        columns=(SYSTEM, *columns, ATTRIBUTE_COLUMN, *SILVER_ENVELOPE),
        doc=doc,
    )
