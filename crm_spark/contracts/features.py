"""Features and segments: what is known about a customer as of a date, and the group the customer is in.

`as_of` is a day; a row knows everything that happened before the end of that day and nothing later.
"""

from crm_spark.contracts.gold import CUSTOMER_ID
from crm_spark.contracts.types import DATE, DOUBLE, INT, LONG, STRING
from crm_spark.core.contract import TableContract, optional, required

AS_OF = required("as_of", DATE, "The day up to whose end everything is known.")

FEATURE_COLUMNS = (
    optional("recency_days", INT, "Days from the last completed order to as_of; null without one."),
    required("num_orders", INT, "Completed orders so far."),
    required("num_orders_recent", INT, "Completed orders in the last horizon."),
    required("monetary", DOUBLE, "Revenue so far, reporting currency."),
    required("monetary_recent", DOUBLE, "Revenue in the last horizon, reporting currency."),
    optional("mean_order_value", DOUBLE, "Revenue per completed order."),
    optional("tenure_days", INT, "Days from the first order, or from joining, to as_of."),
    optional("cadence_days", DOUBLE, "Mean days between orders; null below two orders."),
    optional("lateness", DOUBLE, "recency_days / cadence_days: over 1 is later than usual."),
    required("num_products", INT, "Different products bought."),
    required("num_returns", INT, "Returned or cancelled orders, and lines of completed orders that came back."),
    required("return_fraction", DOUBLE, "Returns over orders and returns."),
    required("num_channels", INT, "Different order channels used."),
    required("num_tickets", INT, "Tickets and calls so far."),
    required("num_tickets_recent", INT, "Tickets and calls in the last horizon."),
    required("num_web_events_recent", INT, "Web events in the last horizon."),
    required("num_feedback", INT, "Reviews and survey answers so far."),
    optional("mean_satisfaction", DOUBLE, "Mean label of feedback: 1 recommends, 0 no clear opinion, -1 does not."),
    optional("last_satisfaction", DOUBLE, "The newest label of feedback, likewise."),
    required("num_campaign_contacts", INT, "Campaign contacts so far."),
    required("num_campaign_responses", INT, "Responses to campaigns so far."),
)
FEATURE_CUSTOMER = TableContract(
    name="features.customer",
    grain=("customer_id", "as_of"),
    doc="What was known about a customer as of a day. Every customer known by then is there, with explicit zeros.",
    columns=(CUSTOMER_ID, AS_OF, *FEATURE_COLUMNS),
    partition_by=("as_of",),
)
SEGMENT = TableContract(
    name="features.segment",
    grain=("customer_id", "as_of"),
    doc="The segment of each customer, and the place on the segment map.",
    columns=(
        CUSTOMER_ID,
        AS_OF,
        required("segment_id", INT, "Stable id of the segment; 0: has never ordered."),
        required("map_x", DOUBLE, "First principal component of the scaled features."),
        required("map_y", DOUBLE, "Second principal component."),
    ),
    partition_by=("as_of",),
)
SEGMENT_PROFILE = TableContract(
    name="features.segment_profile",
    grain=("segment_id", "as_of"),
    doc="A segment: its name, size and typical customer.",
    columns=(
        required("segment_id", INT, "Stable id; 0: has never ordered."),
        AS_OF,
        required("name", STRING, "A name a manager understands, from the profile."),
        required("num_customers", LONG, "Customers in it."),
        required("customer_fraction", DOUBLE, "Of all customers."),
        required("revenue_fraction", DOUBLE, "Of all revenue so far."),
        optional("median_recency_days", DOUBLE, "Days since the last order."),
        required("median_num_orders", DOUBLE, "Orders."),
        required("median_monetary", DOUBLE, "Revenue, reporting currency."),
        optional("mean_satisfaction", DOUBLE, "From -1 to 1."),
        required("centre", STRING, "JSON list: centre in the scaled feature space; what the next refit is matched to."),
    ),
    partition_by=("as_of",),
)
TEXT = TableContract(
    name="features.text",
    grain=("system", "entity", "record_id"),
    doc="Which text stands in which silver record; joins scores.text to people, products and days.",
    columns=(
        required("system", STRING, "Name space of the ids."),
        required("entity", STRING, "feedback or interaction."),
        required("record_id", STRING, "feedback_id or interaction_id."),
        required("source", STRING, "The source system's configuration."),
        optional("person_id", STRING, "Who wrote it."),
        optional("product_id", STRING, "What it is about."),
        optional("written_on", DATE, "When."),
        required("text_hash", STRING, "SHA-256 of the redacted text."),
        required("num_characters", INT, "Length of the redacted text."),
        optional("label", STRING, "What the person's own rating says, where there is one."),
    ),
)
TEXT_NEAR_DUPLICATE = TableContract(
    name="features.text_near_duplicate",
    grain=("text_hash",),
    doc="A labelled text that nearly repeats one of a held-out side, and is left out for that.",
    columns=(
        required("text_hash", STRING, "SHA-256 of the redacted text that is left out."),
        required("near_duplicate_hash", STRING, "The most similar text found on the test or validation side."),
        required("similarity", DOUBLE, "Jaccard similarity of their shingles of five characters, estimated."),
    ),
)
EXAMPLE = TableContract(
    name="features.example",
    grain=("text_hash",),
    doc="A labelled text of the newest shard set, and the side it is on.",
    columns=(
        required("text_hash", STRING, "SHA-256 of the redacted text."),
        required("split", STRING, "train, validation or test."),
    ),
)
LABEL_ISSUE = TableContract(
    name="features.label_issue",
    grain=("text_hash",),
    doc="A labelled text whose words say something else than its label: for a person to look at.",
    columns=(
        required("text_hash", STRING, "SHA-256 of the redacted text; features.text knows the record."),
        required("label", STRING, "What its writer gave."),
        required("suggested_label", STRING, "What the words say."),
        required(
            "p_label", DOUBLE, "Probability of the label, by a model that counts words and has not seen the text."
        ),
        required("p_suggested_label", DOUBLE, "Probability of what the words say."),
    ),
)
ANNOTATION_CANDIDATE = TableContract(
    name="features.annotation_candidate",
    grain=("text_hash",),
    doc="A text that nobody rated and the model in use is least sure of: a label of it would teach most.",
    columns=(
        required("text_hash", STRING, "SHA-256 of the redacted text; features.text knows the record."),
        required("predicted_label", STRING, "What the model makes of it."),
        required("entropy_bits", DOUBLE, "Entropy of the model's probabilities; log2(3) = 1.58 is no idea at all."),
    ),
)

TABLES = (
    FEATURE_CUSTOMER,
    SEGMENT,
    SEGMENT_PROFILE,
    TEXT,
    TEXT_NEAR_DUPLICATE,
    EXAMPLE,
    LABEL_ISSUE,
    ANNOTATION_CANDIDATE,
)
