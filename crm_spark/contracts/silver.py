"""Contracts of the `silver` layer: typed, standardised entities with one row per business key.

Every entity has a `system` column (the namespace of its ids, since two systems may use the same customer number) and
lineage columns that point to bronze. `person_id` is the id within one system; the resolve stage maps it to a customer.
"""

from crm_spark.contracts.types import BOOLEAN, DATE, DOUBLE, INT, MONEY, ORIGINS, STRING, STRINGS, TIMESTAMP
from crm_spark.core.contract import ColumnContract, Sensitivity, TableContract, optional, required

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

PLAIN_TEXT = optional(
    "plain_text", STRING, "Normalised text: mojibake repaired, HTML and invisible characters removed, NFC.", PERSONAL
)
LANGUAGE = optional("language", STRING, "ISO 639-1 code, given by the source or detected; null if undetected.")


def _entity(name: str, key: str, doc: str, *columns: ColumnContract) -> TableContract:
    grain = ("system", key)
    return TableContract(name=f"silver.{name}", grain=grain, columns=(SYSTEM, *columns, *SILVER_ENVELOPE), doc=doc)


PERSON = _entity(
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
ORDER = _entity(
    "order",
    "order_id",
    "An order, basket or invoice.",
    required("order_id", STRING, "Order id in the source system."),
    PERSON_ID,
    required("ordered_at", TIMESTAMP, "Time of the order (UTC)."),
    required("status", STRING, "completed, cancelled or returned."),
    optional("channel", STRING, "shop, marketplace, store, phone ..."),
)
ORDER_LINE = _entity(
    "order_line",
    "line_id",
    "A line of an order: one product, one quantity, one price.",
    required("line_id", STRING, "Line id in the source system, or a digest of the line."),
    required("order_id", STRING, "Order that contains the line."),
    optional("product_id", STRING, "Product sold."),
    required("quantity", DOUBLE, "Units sold; negative for returns."),
    required("unit_price", MONEY, "Unit price in `currency`."),
    required("currency", STRING, "ISO 4217 code of unit_price."),
    required("amount", MONEY, "quantity x unit_price in the company's reporting currency."),
    required(
        "is_return", BOOLEAN, "Whether the line was returned or cancelled; false if the source has no such column."
    ),
)
PRODUCT = _entity(
    "product",
    "product_id",
    "A product in one source system.",
    required("product_id", STRING, "Product id in the source system."),
    optional("name", STRING, "Product name."),
    optional("category", STRING, "Product category or department."),
    optional("brand", STRING, "Product brand."),
    optional("list_price", MONEY, "List price in the source's currency."),
)
INTERACTION = _entity(
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
FEEDBACK = _entity(
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
CAMPAIGN_CONTACT = _entity(
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
CAMPAIGN_RESPONSE = _entity(
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
    for t in (PERSON, PRODUCT, ORDER, ORDER_LINE, INTERACTION, FEEDBACK, CAMPAIGN_CONTACT, CAMPAIGN_RESPONSE)
}
"""Entities that a source can feed, by name."""

EVENT_TIMES = {
    "person": "joined_at",
    "order": "ordered_at",
    "interaction": "happened_at",
    "feedback": "given_at",
    "campaign_contact": "contacted_at",
    "campaign_response": "responded_at",
}
"""Event-time column of each entity that has one."""

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
