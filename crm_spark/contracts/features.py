"""Features and segments: what is known about a customer as of a date, and the group the customer is in.

`as_of` is a day; a row knows everything that happened before the end of that day and nothing later.
"""

from crm_spark.contracts.gold import CUSTOMER_ID
from crm_spark.contracts.types import DATE, DOUBLE, INT, LONG, MONEY, STRING, STRINGS
from crm_spark.core.contract import ColumnContract, TableContract, optional, required

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
CHURN = TableContract(
    name="scores.churn",
    grain=("customer_id", "as_of"),
    doc="The probability that a customer who has ordered does not order within the horizon after as_of.",
    columns=(
        CUSTOMER_ID,
        AS_OF,
        required("probability", DOUBLE, "In [0, 1]."),
        required("risk", STRING, "low, medium or high."),
        required("reasons", STRINGS, "Features that raise the probability most, strongest first."),
        required("model", STRING, "Model and its version."),
    ),
    partition_by=("as_of",),
)
LIFETIME_VALUE = TableContract(
    name="scores.lifetime_value",
    grain=("customer_id", "as_of"),
    doc="Revenue expected from a customer within the horizon after as_of.",
    columns=(
        CUSTOMER_ID,
        AS_OF,
        required("expected_revenue", MONEY, "Reporting currency."),
        required("value_band", STRING, "high, medium or low: the top tenth, the next four tenths, the rest."),
        required("model", STRING, "Model and its version."),
    ),
    partition_by=("as_of",),
)
RECOMMENDATION = TableContract(
    name="scores.recommendation",
    grain=("customer_id", "as_of", "rank"),
    doc="Products to offer to a customer, best first; none the customer has bought.",
    columns=(
        CUSTOMER_ID,
        AS_OF,
        required("rank", INT, "1 is best."),
        required("system", STRING, "Name space of product_id."),
        required("product_id", STRING, "The product."),
        required("score", DOUBLE, "The model's own scale; larger is better."),
        required("model", STRING, "als or popularity."),
    ),
    partition_by=("as_of",),
)
SCORE_TEXT = TableContract(
    name="scores.text",
    grain=("text_hash", "bundle_version"),
    doc="What a text says, by one model bundle. Equal texts are scored once.",
    columns=(
        required("text_hash", STRING, "SHA-256 of the text as scored (title and text, redacted)."),
        required("bundle_version", STRING, "Content hash of the bundle."),
        required("label", STRING, "recommends, does_not_recommend or no_clear_opinion."),
        required("p_recommends", DOUBLE, "Probability."),
        required("p_does_not_recommend", DOUBLE, "Probability."),
        required("p_no_clear_opinion", DOUBLE, "Probability."),
    ),
)
TEXT_OF = TableContract(
    name="features.text",
    grain=("system", "noun", "record_id"),
    doc="Which text stands in which silver record; joins scores.text to people, products and days.",
    columns=(
        required("system", STRING, "Name space of the ids."),
        required("noun", STRING, "feedback or interaction."),
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
TEXT_TWIN = TableContract(
    name="features.text_twin",
    grain=("text_hash",),
    doc="A labelled text that nearly repeats one of a held-out side, and is left out for that.",
    columns=(
        required("text_hash", STRING, "SHA-256 of the redacted text that is left out."),
        required("twin_hash", STRING, "The most similar text found on the test or validation side."),
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
LABEL_DOUBT = TableContract(
    name="features.label_doubt",
    grain=("text_hash",),
    doc="A labelled text whose words say something else than its label: for a person to look at.",
    columns=(
        required("text_hash", STRING, "SHA-256 of the redacted text; features.text knows the record."),
        required("label", STRING, "What its writer gave."),
        required("suggested", STRING, "What the words say."),
        required(
            "p_label", DOUBLE, "Probability of the label, by a model that counts words and has not seen the text."
        ),
        required("p_suggested", DOUBLE, "Probability of what the words say."),
    ),
)
TEXT_TO_LABEL = TableContract(
    name="features.text_to_label",
    grain=("text_hash",),
    doc="A text that nobody rated and the model in use is least sure of: a label of it would teach most.",
    columns=(
        required("text_hash", STRING, "SHA-256 of the redacted text; features.text knows the record."),
        required("read_as", STRING, "What the model makes of it."),
        required("doubt_bits", DOUBLE, "Entropy of the model's probabilities; log2(3) = 1.58 is no idea at all."),
    ),
)
NO_ASPECT = "none"
SCORE_ASPECT = TableContract(
    name="scores.aspect",
    grain=("text_hash", "bundle_version", "aspect"),
    doc="How a text speaks of an aspect, by one model bundle. A text that speaks of none has one row that says so.",
    columns=(
        required("text_hash", STRING, "SHA-256 of the redacted text; features.text knows the record."),
        required("bundle_version", STRING, "Content hash of the bundle."),
        required("aspect", STRING, "Delivery, price ... as the company's aspects name it; `none`."),
        required("num_clauses", INT, "Clauses of the text that speak of it."),
        optional("tone", DOUBLE, "Mean over these clauses, each read alone: from -1 to 1."),
        optional("label", STRING, "The verdict of their mean probabilities."),
        required("aspects_version", STRING, "Digest of the aspects' words."),
    ),
)


def _tone_over_time(name: str, doc: str, *subject: ColumnContract) -> TableContract:
    return TableContract(
        name=name,
        grain=(*(column.name for column in subject), "month"),
        doc=f"{doc} Tone is P(recommends) - P(does_not_recommend) of a text, from -1 to 1.",
        columns=(
            *subject,
            required("month", DATE, "Its first day."),
            required("num_texts", LONG, "Texts written in it."),
            required("mean_tone", DOUBLE, "Mean over these texts."),
            optional("standard_error", DOUBLE, "Of the mean; null for a single text."),
            optional("change", DOUBLE, "Mean tone less that of the month with texts before; null in the first."),
        ),
    )


CUSTOMER_TONE = _tone_over_time("scores.customer_tone", "How a customer's texts of a month sound.", CUSTOMER_ID)
PRODUCT_TONE = _tone_over_time(
    "scores.product_tone",
    "How the texts of a month about a product sound.",
    required("system", STRING, "Name space of product_id."),
    required("product_id", STRING, "The product."),
)
SCORE_WORD = TableContract(
    name="scores.word",
    grain=("segment_id", "label", "word", "as_of"),
    doc="What a word adds to a verdict in the texts of a segment's customers, in a sample; no word that few wrote.",
    columns=(
        required("segment_id", INT, "The segment; features.segment_profile has its name."),
        required("label", STRING, "The verdict on the texts."),
        required("word", STRING, "In small letters."),
        AS_OF,
        required("num_texts", LONG, "Sampled texts with this verdict that hold the word."),
        required("num_customers", LONG, "Customers of the segment who wrote them."),
        required(
            "mean_share",
            DOUBLE,
            "Mean over these texts of what the word adds to the logit of the verdict's probability.",
        ),
        required("bundle_version", STRING, "Content hash of the bundle."),
    ),
    partition_by=("as_of",),
)
NEXT_BEST_ACTION = TableContract(
    name="actions.next_best",
    grain=("customer_id", "as_of"),
    doc="The one action for a customer, why, and whether the customer is in the hold-out that shows if it helps.",
    columns=(
        CUSTOMER_ID,
        AS_OF,
        required("action", STRING, "Name of the action in the strategy, or `none`."),
        required("reason", STRING, "Reason code of the rule that chose it, or of the suppression."),
        required("is_holdout", INT, "1: the action is withheld from this customer to measure its effect."),
        required(
            "priority", DOUBLE, "Expected revenue at stake, reporting currency: churn probability x expected revenue."
        ),
    ),
    partition_by=("as_of",),
)

TABLES = (
    FEATURE_CUSTOMER,
    SEGMENT,
    SEGMENT_PROFILE,
    CHURN,
    LIFETIME_VALUE,
    RECOMMENDATION,
    SCORE_TEXT,
    TEXT_OF,
    TEXT_TWIN,
    EXAMPLE,
    LABEL_DOUBT,
    TEXT_TO_LABEL,
    SCORE_ASPECT,
    CUSTOMER_TONE,
    PRODUCT_TONE,
    SCORE_WORD,
    NEXT_BEST_ACTION,
)
