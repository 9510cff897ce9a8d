"""Contracts of the `gold` layer: customers, their links to source systems, and identity events."""

from crm_spark.contracts.types import (
    ATTRIBUTES,
    BOOLEAN,
    DATE,
    DOUBLE,
    EVIDENCE,
    INT,
    OTHER_VALUES,
    PROVENANCE,
    STRING,
    STRINGS,
    TIMESTAMP,
)
from crm_spark.core.contract import Sensitivity, TableContract, added, optional, required

PERSONAL = Sensitivity.PERSONAL
CUSTOMER_ID = required("customer_id", STRING, "Customer id across all systems; stable across refreshes.")
SURVIVES = "Value of the linked source records by the policy of `resolve.golden`; default: the newest."
ADDRESS = "Part of the address, whose parts come from one source record, by the policy of `address`."

CUSTOMER = TableContract(
    name="gold.customer",
    grain=("customer_id",),
    doc="Golden record of each customer across all systems, including people known only from their orders.",
    columns=(
        CUSTOMER_ID,
        required("num_records", INT, "Number of source records linked to this customer."),
        required("systems", STRINGS, "Systems that contain the customer."),
        optional("given_name", STRING, SURVIVES, PERSONAL),
        optional("family_name", STRING, SURVIVES, PERSONAL),
        optional("email", STRING, SURVIVES, PERSONAL),
        optional("phone", STRING, SURVIVES, PERSONAL),
        optional("street", STRING, ADDRESS, PERSONAL),
        optional("postcode", STRING, ADDRESS, PERSONAL),
        optional("city", STRING, ADDRESS, PERSONAL),
        optional("country", STRING, f"{ADDRESS} Filled from another record only if it does not contradict."),
        optional("birth_on", DATE, SURVIVES, PERSONAL),
        optional(
            "has_marketing_consent",
            BOOLEAN,
            "False if any system records an objection; null if no system has an answer.",
        ),
        optional("joined_at", TIMESTAMP, "Earliest join date or event in any system."),
        added(
            "is_prospect",
            BOOLEAN,
            "Whether the person is known only from campaigns, leads or deals: no record elsewhere, and no order, payment, "
            "subscription, usage, appointment, contact or feedback.",
        ),
        added(
            "attributes",
            ATTRIBUTES,
            "Attributes of the linked person records; each by its policy, default: the newest value. Sorted by name; null for none.",
            PERSONAL,
        ),
        added(
            "provenance",
            PROVENANCE,
            "Source record of each field (`address`: of street, postcode, city and country) and attribute, and the policy that chose "
            "it; `filled`: a country from another record than the address. Null without a person record.",
            PERSONAL,
        ),
        added(
            "other_values",
            OTHER_VALUES,
            "Values of the linked records that differ from those of this row, as text, each with the system of its newest record; at "
            "most 10 per field, the newest. Null for none.",
            PERSONAL,
        ),
        added("num_values_left_out", INT, "Number of values left out of `other_values`; they are in silver.person."),
    ),
)
CUSTOMER_LINK = TableContract(
    name="gold.customer_link",
    grain=("system", "person_id"),
    doc="Maps each person of a source system to a customer.",
    columns=(
        required("system", STRING, "Namespace of person_id."),
        required("person_id", STRING, "The system's id of the person."),
        CUSTOMER_ID,
        optional(
            "match_probability",
            DOUBLE,
            "Highest match probability with another record of the customer; null if it was linked by a rule or not at all.",
        ),
    ),
)
IDENTITY_EVENT = TableContract(
    name="gold.identity_event",
    grain=("event_id",),
    doc="Customer ids that were created, merged into another id, or split off.",
    columns=(
        required("event_id", STRING, "Digest of kind, customer and run inputs."),
        required(
            "kind", STRING, "`minted` (created), `merged`, `split`, or `restored` (a merged id that is in use again)."
        ),
        CUSTOMER_ID,
        optional("other_customer_id", STRING, "Surviving id (merged) or original id (split)."),
        required("batch_id", STRING, "Resolve batch that produced the event."),
        added("happened_at", TIMESTAMP, "Start of the run (UTC)."),
        added("run_id", STRING, "Id of the run."),
        added("num_records", INT, "Records of the customer that the event moved; for a created id, all its records."),
        added(
            "evidence",
            STRING,
            "For a merge the most probable pair of records that joins the two; for a split the most probable pair that remains between "
            "them. Null if a rule, a decision or further records did it.",
        ),
    ),
)
CUSTOMER_LINK_CHANGE = TableContract(
    name="gold.customer_link_change",
    grain=("change_id",),
    doc="Every change of the customer of a source person, also the first: the links of any past time.",
    columns=(
        required("change_id", STRING, "Digest of person, customer and run inputs."),
        required("system", STRING, "Namespace of person_id."),
        required("person_id", STRING, "The system's id of the person."),
        CUSTOMER_ID,
        optional("former_customer_id", STRING, "Customer before; null for a new person."),
        required("changed_at", TIMESTAMP, "Start of the run (UTC)."),
        required("batch_id", STRING, "Resolve batch that changed the link."),
    ),
)
_PAIR = (
    required("system", STRING, "Namespace of person_id."),
    required("person_id", STRING, "The system's id of one person; `system|person_id` sorts before that of the other."),
    required("other_system", STRING, "Namespace of other_person_id."),
    required("other_person_id", STRING, "The system's id of the other person."),
)
IDENTITY_REVIEW = TableContract(
    name="gold.identity_review",
    grain=("system", "person_id", "other_system", "other_person_id"),
    doc="Pairs of records that a person should compare: the linkage is uncertain about them, and no decision settles them. "
    "Contains no values of the records. Replaced by each run.",
    columns=(
        *_PAIR,
        required("customer_id", STRING, "Customer to which the person is linked."),
        required("other_customer_id", STRING, "Customer to which the other person is linked."),
        required("is_one_customer", BOOLEAN, "Whether the two records are linked to the same customer."),
        required("match_probability", DOUBLE, "Match probability of the pair."),
        optional(
            "evidence", EVIDENCE, "Comparison of each column in words, with its match weight in bits; strongest first."
        ),
        required("status", STRING, "`open`; `reopened`: a decision was undone, or newer ones contradict it."),
    ),
)
IDENTITY_DECISION = TableContract(
    name="gold.identity_decision",
    grain=("system", "person_id", "other_system", "other_person_id"),
    doc="Newest decision of a person on each pair of records. Decisions stay in force when their file is removed; those about a "
    "record that is no longer in silver are deleted.",
    columns=(
        *_PAIR,
        optional("is_same_person", BOOLEAN, "Whether the records are one person; null: the decision was undone."),
        optional("decided_by", STRING, "Name of the person who decided.", PERSONAL),
        required("decided_at", TIMESTAMP, "When the decision was made."),
        optional("note", STRING, "Reason of the decision.", PERSONAL),
        optional(
            "sample",
            STRING,
            "Random sample from which the pair was drawn: `linked` or `apart`; null: it was chosen for another reason.",
        ),
    ),
)

TABLES = (CUSTOMER, CUSTOMER_LINK, IDENTITY_EVENT, IDENTITY_REVIEW, IDENTITY_DECISION)
