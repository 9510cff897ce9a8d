"""Silver: typed, standardised, one row per business key. The entities every company speaks in.

Every entity carries `system` (the name space of its ids: two systems may both know a customer 17) and an envelope that
leads back to bronze. `person_id` is the id a system gives a person; who that is, resolve says.
"""

from crm_spark.contracts.types import BOOLEAN, DATE, DOUBLE, INT, MONEY, STRING, STRINGS, TIMESTAMP
from crm_spark.core.contract import ColumnContract, Sensitivity, TableContract, optional, required

PERSONAL = Sensitivity.PERSONAL

SILVER_ENVELOPE = (
    required("source", STRING, "The source system's configuration this row came through."),
    required("row_id", STRING, "The bronze record it was made from."),
    required("record_hash", STRING, "Digest of the business columns: equal content, equal hash."),
    required("batch_id", STRING, "The delivery it came in."),
    optional(
        "updated_at", TIMESTAMP, "When the source says it last changed this record; decides which version is latest."
    ),
    optional("notes", STRINGS, "code:column of what clean noted and let pass: placeholders made null, warnings."),
)

SYSTEM = required("system", STRING, "Name space of the ids.")
PERSON_ID = optional("person_id", STRING, "The system's id of the person; null for a guest.")

PLAIN_TEXT = optional(
    "plain_text", STRING, "The text made readable: mojibake mended, HTML and invisible characters out, NFC.", PERSONAL
)
LANGUAGE = optional("language", STRING, "ISO 639-1, said by the source or told from the text; null: it cannot be told.")


def _entity(name: str, key: str, doc: str, *columns: ColumnContract) -> TableContract:
    grain = ("system", key)
    return TableContract(name=f"silver.{name}", grain=grain, columns=(SYSTEM, *columns, *SILVER_ENVELOPE), doc=doc)


PERSON = _entity(
    "person",
    "person_id",
    "A person as one system knows them.",
    required("person_id", STRING, "The system's id of the person."),
    optional("title", STRING, "Academic and other titles before or behind the name: Prof Dr.", PERSONAL),
    optional("given_name", STRING, "First name as it is written properly.", PERSONAL),
    optional("family_name", STRING, "Last name as it is written properly, particles and suffix with it.", PERSONAL),
    optional("email", STRING, "E-mail as written, trimmed and lower case.", PERSONAL),
    optional("email_match", STRING, "E-mail without plus-tag (and dots where the provider ignores them).", PERSONAL),
    optional("phone", STRING, "Phone in E.164.", PERSONAL),
    optional("street", STRING, "Street and house number, standardised.", PERSONAL),
    optional("house_number", STRING, "The house number in `street`.", PERSONAL),
    optional("postcode", STRING, "Postal code, upper case without blanks.", PERSONAL),
    optional("city", STRING, "City as it is written properly.", PERSONAL),
    optional("country", STRING, "ISO 3166 alpha-2 where it is known, else the source's own name."),
    optional("birth_on", DATE, "Date of birth.", PERSONAL),
    optional("has_marketing_consent", BOOLEAN, "Whether the person agreed to be contacted; null: never asked."),
    optional("joined_at", TIMESTAMP, "When the system first knew the person."),
)
ORDER = _entity(
    "order",
    "order_id",
    "An order, basket or invoice.",
    required("order_id", STRING, "The system's id of the order."),
    PERSON_ID,
    required("ordered_at", TIMESTAMP, "When it was placed."),
    required("status", STRING, "completed, cancelled or returned."),
    optional("channel", STRING, "shop, marketplace, store, phone ..."),
)
ORDER_LINE = _entity(
    "order_line",
    "line_id",
    "A line of an order: one product, one quantity, one price.",
    required("line_id", STRING, "The system's id of the line, or a digest of its content."),
    required("order_id", STRING, "The order it belongs to."),
    optional("product_id", STRING, "The product sold."),
    required("quantity", DOUBLE, "Units sold; negative when they came back."),
    required("unit_price", MONEY, "Price of one unit in `currency`."),
    required("currency", STRING, "ISO 4217 code of unit_price."),
    required("amount", MONEY, "quantity x unit_price in the company's reporting currency."),
    required(
        "is_return", BOOLEAN, "The goods came back or the line was cancelled; false where the source does not say."
    ),
)
PRODUCT = _entity(
    "product",
    "product_id",
    "A product as one system knows it.",
    required("product_id", STRING, "The system's id of the product."),
    optional("name", STRING, "Name."),
    optional("category", STRING, "Category or department."),
    optional("brand", STRING, "Brand."),
    optional("list_price", MONEY, "List price in the source's currency."),
)
INTERACTION = _entity(
    "interaction",
    "interaction_id",
    "A contact between a person and the company: ticket, call, mail or web event.",
    required("interaction_id", STRING, "The system's id of the interaction."),
    PERSON_ID,
    required("happened_at", TIMESTAMP, "When."),
    required("kind", STRING, "ticket, call, mail or web."),
    optional("topic", STRING, "What it was about, or the page or event type."),
    optional("product_id", STRING, "The product it was about."),
    optional("text", STRING, "What the person wrote, as written.", PERSONAL),
    PLAIN_TEXT,
    LANGUAGE,
)
FEEDBACK = _entity(
    "feedback",
    "feedback_id",
    "What a person said about the company or a product: a review, a survey answer, a labelled ticket.",
    required("feedback_id", STRING, "The system's id of the feedback."),
    PERSON_ID,
    optional("product_id", STRING, "The product it is about."),
    optional("given_at", TIMESTAMP, "When; null where the source has no date."),
    required("kind", STRING, "review, survey or ticket."),
    optional("title", STRING, "Title, as written.", PERSONAL),
    optional("text", STRING, "The text as written.", PERSONAL),
    optional("plain_title", STRING, "The title made readable.", PERSONAL),
    PLAIN_TEXT,
    LANGUAGE,
    optional("rating", DOUBLE, "The score on the source's own scale."),
    optional(
        "label", STRING, "recommends, does_not_recommend or no_clear_opinion; from the rating by the source's map."
    ),
)
CAMPAIGN_CONTACT = _entity(
    "campaign_contact",
    "contact_id",
    "A person chosen for a campaign, contacted or held out.",
    required("contact_id", STRING, "The system's id of the contact, or campaign and person together."),
    required("campaign_id", STRING, "The campaign."),
    PERSON_ID,
    optional("contacted_at", TIMESTAMP, "When; null where the source has no date."),
    optional("channel", STRING, "mail, phone, coupon ..."),
    required("is_holdout", BOOLEAN, "Chosen, and on purpose not contacted."),
)
CAMPAIGN_RESPONSE = _entity(
    "campaign_response",
    "response_id",
    "A response to a campaign: a click, a coupon used, an order through the link.",
    required("response_id", STRING, "The system's id of the response."),
    required("campaign_id", STRING, "The campaign."),
    PERSON_ID,
    required("responded_at", TIMESTAMP, "When."),
    optional("kind", STRING, "click, redemption, order ..."),
    optional("score", INT, "A number the response carries, if any."),
)

ENTITIES: dict[str, TableContract] = {
    t.entity: t
    for t in (PERSON, PRODUCT, ORDER, ORDER_LINE, INTERACTION, FEEDBACK, CAMPAIGN_CONTACT, CAMPAIGN_RESPONSE)
}
"""Every entity a source can feed, by name."""

EVENT_TIMES = {
    "person": "joined_at",
    "order": "ordered_at",
    "interaction": "happened_at",
    "feedback": "given_at",
    "campaign_contact": "contacted_at",
    "campaign_response": "responded_at",
}
"""The event time of each entity that has one."""

_INTERVAL = (
    required("valid_from", TIMESTAMP, "First instant at which it held; 1900 where the source does not say."),
    optional("valid_to", TIMESTAMP, "First instant at which it held no longer; null: it holds."),
    required("is_current", BOOLEAN, "It holds now; true in one row of a key."),
)


def _history(contract: TableContract) -> TableContract:
    rank = required("source_rank", INT, "Rank of the source; of two versions of one instant the higher stands.")
    return TableContract(
        name=f"{contract.name}_history",
        grain=(*contract.grain, "valid_from"),
        columns=(*contract.columns, rank, *_INTERVAL),
        doc=f"{contract.doc} Every version, and for how long it held: half-open, without gaps.",
    )


HISTORY: dict[str, TableContract] = {entity: _history(ENTITIES[entity]) for entity in ("person", "product")}
"""The entities whose versions are kept, by name."""
CONSENT_HISTORY = TableContract(
    name="silver.consent_history",
    grain=("system", "person_id", "valid_from"),
    doc="Whether a person agreed to be contacted, and for how long that stood.",
    columns=(
        SYSTEM,
        required("person_id", STRING, "The system's id of the person."),
        optional("has_marketing_consent", BOOLEAN, "The answer; null: never asked, or withdrawn from the record."),
        required("row_id", STRING, "The bronze record that says so."),
        *_INTERVAL,
    ),
)
