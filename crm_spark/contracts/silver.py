"""Contracts of the `silver` layer: typed, standardised entities with one row per business key.

Every entity has a `system` column (the namespace of its ids, since two systems may use the same customer number) and
lineage columns that point to bronze. `person_id` is the id within one system; the resolve stage maps it to a customer.
"""

from crm_spark.contracts.sales import ORDER, ORDER_LINE, PAYMENT, PRODUCT
from crm_spark.contracts.services import APPOINTMENT, DEAL, LOCATION, RELATION, SUBSCRIPTION, USAGE
from crm_spark.contracts.silver_columns import (
    LANGUAGE,
    PERSON_ID,
    PERSONAL,
    PLAIN_TEXT,
    SILVER_ENVELOPE,
    SYSTEM,
    entity,
)
from crm_spark.contracts.types import BOOLEAN, DATE, DOUBLE, INT, STRING, TIMESTAMP
from crm_spark.core.contract import TableContract, optional, required

__all__ = [
    "APPOINTMENT",
    "CAMPAIGN_CONTACT",
    "CAMPAIGN_RESPONSE",
    "CONSENT_HISTORY",
    "DEAL",
    "ENTITIES",
    "EVENT_TIMES",
    "FEEDBACK",
    "HISTORY",
    "INTERACTION",
    "LOCATION",
    "ORDER",
    "ORDER_LINE",
    "PAYMENT",
    "PERSON",
    "PRODUCT",
    "RELATION",
    "SILVER_ENVELOPE",
    "SUBSCRIPTION",
    "USAGE",
]

PERSON = entity(
    "person",
    "person_id",
    "A person in one source system.",
    required("person_id", STRING, "Person id in the source system."),
    optional("title", STRING, "Academic and other titles, for example `Prof Dr`.", PERSONAL),
    optional("given_name", STRING, "Given name, standardised case.", PERSONAL),
    optional("family_name", STRING, "Family name including particles and suffix, standardised case.", PERSONAL),
    optional("email", STRING, "E-mail address, trimmed and lower case.", PERSONAL),
    optional(
        "email_match",
        STRING,
        "Mailbox of the e-mail address: without the tag and the dots that its provider ignores.",
        PERSONAL,
    ),
    optional("phone", STRING, "Phone number in E.164 format.", PERSONAL),
    optional("street", STRING, "Street and house number, standardised.", PERSONAL),
    optional("house_number", STRING, "House number contained in `street`.", PERSONAL),
    optional("postcode", STRING, "Postal code, upper case without spaces.", PERSONAL),
    optional("city", STRING, "City, standardised case.", PERSONAL),
    optional("country", STRING, "ISO 3166 alpha-2 code, or the source's value if unknown."),
    optional("birth_on", DATE, "Date of birth.", PERSONAL),
    optional("has_marketing_consent", BOOLEAN, "Whether the person consented to marketing contact; null if unknown."),
    optional("joined_at", TIMESTAMP, "When the person was first registered in the system."),
)
INTERACTION = entity(
    "interaction",
    "interaction_id",
    "A contact between a person and the company: ticket, call, mail or web event.",
    required("interaction_id", STRING, "Interaction id in the source system."),
    PERSON_ID,
    required("happened_at", TIMESTAMP, "Time of the interaction (UTC)."),
    required("kind", STRING, "ticket, call, mail or web."),
    optional("topic", STRING, "Topic, page or event type."),
    optional("product_id", STRING, "Product concerned."),
    optional("text", STRING, "Text as written by the person.", PERSONAL),
    PLAIN_TEXT,
    LANGUAGE,
)
FEEDBACK = entity(
    "feedback",
    "feedback_id",
    "Feedback of a person about the company or a product: a review, a survey answer, a labelled ticket.",
    required("feedback_id", STRING, "Feedback id in the source system."),
    PERSON_ID,
    optional("product_id", STRING, "Product concerned."),
    optional("given_at", TIMESTAMP, "Time (UTC); null if the source has no date."),
    required("kind", STRING, "review, survey or ticket."),
    optional("title", STRING, "Title as written.", PERSONAL),
    optional("text", STRING, "Text as written.", PERSONAL),
    optional("plain_title", STRING, "Normalised title.", PERSONAL),
    PLAIN_TEXT,
    LANGUAGE,
    optional("rating", DOUBLE, "Rating on the source's scale."),
    optional("label", STRING, "recommends, does_not_recommend or no_clear_opinion; mapped from the rating."),
)
CAMPAIGN_CONTACT = entity(
    "campaign_contact",
    "contact_id",
    "A person selected for a campaign, contacted or in the holdout group.",
    required("contact_id", STRING, "Contact id in the source system, or campaign id and person id combined."),
    required("campaign_id", STRING, "Campaign id."),
    PERSON_ID,
    optional("contacted_at", TIMESTAMP, "Time (UTC); null if the source has no date."),
    optional("channel", STRING, "mail, phone, coupon ..."),
    required("is_holdout", BOOLEAN, "Whether the person is in the holdout group (selected, not contacted)."),
)
CAMPAIGN_RESPONSE = entity(
    "campaign_response",
    "response_id",
    "A response to a campaign: a click, a redeemed coupon, an order through the link.",
    required("response_id", STRING, "Response id in the source system."),
    required("campaign_id", STRING, "Campaign id."),
    PERSON_ID,
    required("responded_at", TIMESTAMP, "Time of the response (UTC)."),
    optional("kind", STRING, "click, redemption, order ..."),
    optional("score", INT, "Numeric score of the response, if any."),
)

ENTITIES: dict[str, TableContract] = {
    t.entity: t
    for t in (
        PERSON,
        PRODUCT,
        LOCATION,
        ORDER,
        ORDER_LINE,
        PAYMENT,
        SUBSCRIPTION,
        USAGE,
        APPOINTMENT,
        DEAL,
        RELATION,
        INTERACTION,
        FEEDBACK,
        CAMPAIGN_CONTACT,
        CAMPAIGN_RESPONSE,
    )
}
"""Entities that a source can feed, by name."""

EVENT_TIMES = {
    "person": "joined_at",
    "order": "ordered_at",
    "payment": "paid_at",
    "subscription": "started_at",
    "usage": "happened_at",
    "appointment": "starts_at",
    "deal": "opened_at",
    "interaction": "happened_at",
    "feedback": "given_at",
    "campaign_contact": "contacted_at",
    "campaign_response": "responded_at",
}
"""Event-time column of each entity that has one. Appointments and subscriptions may start after their record was delivered."""

_INTERVAL = (
    required("valid_from", TIMESTAMP, "Start of validity (inclusive); 1900-01-01 if unknown."),
    optional("valid_to", TIMESTAMP, "End of validity (exclusive); null for the current version."),
    required("is_current", BOOLEAN, "Whether this is the current version; true for one row per key."),
)


def _history(contract: TableContract) -> TableContract:
    rank = required(
        "source_rank", INT, "Rank of the source; the higher rank wins between two versions with the same `valid_from`."
    )
    return TableContract(
        name=f"{contract.name}_history",
        grain=(*contract.grain, "valid_from"),
        # Versions are kept as delivered.
        columns=(*(c for c in contract.columns if c.name != "merged_from"), rank, *_INTERVAL),
        doc=f"{contract.doc} All versions (SCD2) with half-open validity intervals without gaps.",
    )


HISTORY: dict[str, TableContract] = {entity: _history(ENTITIES[entity]) for entity in ("person", "product")}
"""Entities with a version history, by name."""
CONSENT_HISTORY = TableContract(
    name="silver.consent_history",
    grain=("system", "person_id", "valid_from"),
    doc="History of a person's marketing consent with validity intervals.",
    columns=(
        SYSTEM,
        required("person_id", STRING, "Person id in the source system."),
        optional("has_marketing_consent", BOOLEAN, "Consent value; null if unknown or removed from the record."),
        required("row_id", STRING, "Id of the bronze record."),
        *_INTERVAL,
    ),
)
