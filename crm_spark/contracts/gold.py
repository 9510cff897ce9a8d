"""Gold: one customer id from raw row to campaign result, and the ledger of how it came to be."""

from crm_spark.contracts.types import BOOLEAN, DATE, DOUBLE, INT, STRING, STRINGS, TIMESTAMP
from crm_spark.core.contract import Sensitivity, TableContract, optional, required

PERSONAL = Sensitivity.PERSONAL
CUSTOMER_ID = required("customer_id", STRING, "The customer, whatever the systems call them. Stable over refreshes.")

CUSTOMER = TableContract(
    name="gold.customer",
    grain=("customer_id",),
    doc="A customer: the golden record over all systems, people known only from their orders included.",
    columns=(
        CUSTOMER_ID,
        required("num_records", INT, "Source records that are this customer."),
        required("systems", STRINGS, "The systems that know the customer."),
        optional("given_name", STRING, "Survivor of the source records: newest non-null.", PERSONAL),
        optional("family_name", STRING, "As above.", PERSONAL),
        optional("email", STRING, "As above.", PERSONAL),
        optional("phone", STRING, "As above.", PERSONAL),
        optional("street", STRING, "As above.", PERSONAL),
        optional("postcode", STRING, "As above.", PERSONAL),
        optional("city", STRING, "As above.", PERSONAL),
        optional("country", STRING, "As above."),
        optional("birth_on", DATE, "As above.", PERSONAL),
        optional("has_marketing_consent", BOOLEAN, "False if any system holds a blocked; null if none was asked."),
        optional("joined_at", TIMESTAMP, "The earliest time any system knew the customer."),
    ),
)
CUSTOMER_LINK = TableContract(
    name="gold.customer_link",
    grain=("system", "person_id"),
    doc="Which customer a system's person is.",
    columns=(
        required("system", STRING, "Name space of person_id."),
        required("person_id", STRING, "The system's id of the person."),
        CUSTOMER_ID,
        optional(
            "match_probability", DOUBLE, "Strongest match with another record of the customer; null: it stands alone."
        ),
    ),
)
IDENTITY_EVENT = TableContract(
    name="gold.identity_event",
    grain=("event_id",),
    doc="A customer id that was minted, merged into another, or split off.",
    columns=(
        required("event_id", STRING, "Digest of kind, customer and run inputs."),
        required("kind", STRING, "minted, merged or split."),
        CUSTOMER_ID,
        optional("other_customer_id", STRING, "The id that took over (merged) or that it was split from (split)."),
        required("batch_id", STRING, "The resolve batch in which it happened."),
    ),
)

TABLES = (CUSTOMER, CUSTOMER_LINK, IDENTITY_EVENT)
