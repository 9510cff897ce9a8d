"""Contracts of the `features` layer: customer features, segments and labelled texts.

Every row is point-in-time correct: it uses events up to the end of the day `as_of` and no later ones.
"""

from crm_spark.contracts.gold import CUSTOMER_ID
from crm_spark.contracts.types import DATE, DOUBLE, INT, LONG, NAMED_NUMBERS, STRING
from crm_spark.core.contract import TableContract, added, optional, required

AS_OF = required("as_of", DATE, "Snapshot date; events up to the end of this day are included.")

FEATURE_COLUMNS = (
    optional("recency_days", INT, "Days from the last completed order to as_of; null if there is no order."),
    required("num_orders", INT, "Number of completed orders up to as_of."),
    required("num_orders_recent", INT, "Number of completed orders in the last `company.horizon_days` days."),
    optional(
        "monetary",
        DOUBLE,
        "Revenue up to as_of, in the reporting currency; null if there are completed orders, but no amount of any is known.",
    ),
    optional(
        "monetary_recent",
        DOUBLE,
        "Revenue in the last `company.horizon_days` days, in the reporting currency; null as for monetary.",
    ),
    optional(
        "mean_order_value",
        DOUBLE,
        "Revenue per completed order with a known amount, in the reporting currency; null without such orders.",
    ),
    optional("tenure_days", INT, "Days from the first order or the join date to as_of."),
    optional("cadence_days", DOUBLE, "Mean days between orders; null with fewer than two orders."),
    optional("lateness", DOUBLE, "recency_days / cadence_days; above 1 means the next order is overdue."),
    required("num_products", INT, "Number of distinct products bought."),
    required("num_returns", INT, "Number of returned or cancelled orders plus returned lines of completed orders."),
    required("return_fraction", DOUBLE, "num_returns / (num_orders + num_returns)."),
    required("num_channels", INT, "Number of distinct order channels."),
    required("num_tickets", INT, "Number of tickets and calls up to as_of."),
    required("num_tickets_recent", INT, "Number of tickets and calls in the last `company.horizon_days` days."),
    required("num_web_events_recent", INT, "Number of web events in the last `company.horizon_days` days."),
    required("num_feedback", INT, "Number of reviews and survey answers up to as_of."),
    optional(
        "mean_satisfaction", DOUBLE, "Mean feedback label: 1 recommends, 0 no clear opinion, -1 does not recommend."
    ),
    optional("last_satisfaction", DOUBLE, "Most recent feedback label on the same scale."),
    required("num_campaign_contacts", INT, "Number of campaign contacts up to as_of."),
    required("num_campaign_responses", INT, "Number of campaign responses up to as_of."),
)
CHURN_REASONS = {
    "recency_days": "a long time since the last {purchase}",
    "num_orders": "few {purchases} so far",
    "num_orders_recent": "no recent {purchases}",
    "monetary": "low spending so far",
    "monetary_recent": "low recent spending",
    "mean_order_value": "mean {purchase} value",
    "tenure_days": "length of the customer relationship",
    "cadence_days": "usual time between {purchases}",
    "lateness": "next {purchase} overdue",
    "num_products": "few different {products}",
    "num_returns": "returns and cancellations",
    "return_fraction": "high share of returned {purchases}",
    "num_channels": "sales channels used",
    "num_tickets": "support tickets so far",
    "num_tickets_recent": "recent support tickets",
    "num_web_events_recent": "few recent website visits",
    "num_feedback": "amount of feedback given",
    "mean_satisfaction": "low satisfaction",
    "last_satisfaction": "negative latest feedback",
    "num_campaign_contacts": "number of campaign messages received",
    "num_campaign_responses": "no response to campaigns",
}
"""Feature -> the words of the report where its value raises the churn risk, with fields of `company.words`."""
FEATURE_CUSTOMER = TableContract(
    name="features.customer",
    grain=("customer_id", "as_of"),
    doc="Features of each customer as of a date. Contains every customer known by then; counts are 0 where there are no events.",
    columns=(
        CUSTOMER_ID,
        AS_OF,
        *FEATURE_COLUMNS,
        added(
            "declared", NAMED_NUMBERS, "Features that the company declares, see `featurise.features`; null without any."
        ),
        added(
            "num_contracts",
            INT,
            "Number of running contracts; null unless `company.churn` is contract_end or missed_renewal. Not an input of models.",
        ),
        added(
            "num_missed_recent",
            INT,
            "Number of appointments missed in the last `company.horizon_days` days; null unless `company.churn` is "
            "missed_appointment. Not an input of models.",
        ),
    ),
    partition_by=("as_of",),
)
SEGMENT = TableContract(
    name="features.segment",
    grain=("customer_id", "as_of"),
    doc="Segment assignment of each customer and its coordinates on the segment map.",
    columns=(
        CUSTOMER_ID,
        AS_OF,
        required("segment_id", INT, "Stable segment id; 0 for customers without a completed order."),
        required("map_x", DOUBLE, "First principal component of the scaled features."),
        required("map_y", DOUBLE, "Second principal component of the scaled features."),
    ),
    partition_by=("as_of",),
)
SEGMENT_PROFILE = TableContract(
    name="features.segment_profile",
    grain=("segment_id", "as_of"),
    doc="Name, size and typical customer of each segment.",
    columns=(
        required("segment_id", INT, "Stable segment id; 0 for customers without a completed order."),
        AS_OF,
        required("name", STRING, "Descriptive name derived from the profile."),
        required("num_customers", LONG, "Number of customers in the segment."),
        required("customer_fraction", DOUBLE, "Share of all customers, in [0, 1]."),
        optional(
            "revenue_fraction",
            DOUBLE,
            "Share of all revenue up to as_of, in [0, 1]; null without revenue or if unknown.",
        ),
        optional("median_recency_days", DOUBLE, "Median days since the last order."),
        required("median_num_orders", DOUBLE, "Median number of orders."),
        optional("median_monetary", DOUBLE, "Median revenue in the reporting currency; null if unknown."),
        optional("mean_satisfaction", DOUBLE, "Mean satisfaction of the segment, from -1 to 1."),
        required(
            "centre",
            STRING,
            "JSON list: centroid in the scaled feature space, used to match segments at the next refit.",
        ),
    ),
    partition_by=("as_of",),
)
TEXT = TableContract(
    name="features.text",
    grain=("system", "entity", "record_id"),
    doc="Maps each text to its silver record; joins scores.text to people, products and dates.",
    columns=(
        required("system", STRING, "Namespace of the ids."),
        required("entity", STRING, "`feedback` or `interaction`.", former_name="noun"),
        required("record_id", STRING, "feedback_id or interaction_id."),
        required("source", STRING, "Name of the source configuration."),
        optional("person_id", STRING, "Author of the text."),
        optional("product_id", STRING, "Product the text is about."),
        optional("written_on", DATE, "Date of the text."),
        required("text_hash", STRING, "SHA-256 of the redacted text."),
        required("num_characters", INT, "Length of the redacted text."),
        optional("label", STRING, "Label derived from the author's rating; null without a rating."),
    ),
)
TEXT_NEAR_DUPLICATE = TableContract(
    name="features.text_near_duplicate",
    former_name="features.text_twin",
    grain=("text_hash",),
    doc="Labelled texts excluded from training because they nearly duplicate a validation or test text.",
    columns=(
        required("text_hash", STRING, "SHA-256 of the excluded redacted text."),
        required(
            "near_duplicate_hash",
            STRING,
            "SHA-256 of the most similar text in the validation or test split.",
            former_name="twin_hash",
        ),
        required("similarity", DOUBLE, "Estimated Jaccard similarity of their 5-character shingles."),
    ),
)
EXAMPLE = TableContract(
    name="features.example",
    grain=("text_hash",),
    doc="Split assignment of each labelled text in the newest shard set.",
    columns=(
        required("text_hash", STRING, "SHA-256 of the redacted text."),
        required("split", STRING, "train, validation or test."),
    ),
)
TRAINING_RECORD = TableContract(
    name="features.training_record",
    grain=("system", "record_id"),
    doc="Labelled feedback from which the newest shard set was made; records with another label since then are new to the model.",
    columns=(
        required("system", STRING, "Namespace of the ids."),
        required("record_id", STRING, "Feedback id."),
        required("label", STRING, "Label at that time."),
    ),
)
LABEL_ISSUE = TableContract(
    name="features.label_issue",
    former_name="features.label_doubt",
    grain=("text_hash",),
    doc="Labelled texts whose label is likely wrong; candidates for manual review.",
    columns=(
        required("text_hash", STRING, "SHA-256 of the redacted text; join features.text for the record."),
        required("label", STRING, "Label derived from the author's rating."),
        required("suggested_label", STRING, "Label predicted from the text.", former_name="suggested"),
        required("p_label", DOUBLE, "Out-of-fold probability of the label (TF-IDF + logistic regression)."),
        required(
            "p_suggested_label", DOUBLE, "Out-of-fold probability of the suggested label.", former_name="p_suggested"
        ),
    ),
)
ANNOTATION_CANDIDATE = TableContract(
    name="features.annotation_candidate",
    former_name="features.text_to_label",
    grain=("text_hash",),
    doc="Unrated texts with the most uncertain predictions of the production model; candidates for annotation.",
    columns=(
        required("text_hash", STRING, "SHA-256 of the redacted text; join features.text for the record."),
        required("predicted_label", STRING, "Label predicted by the production model.", former_name="read_as"),
        required(
            "entropy_bits",
            DOUBLE,
            "Entropy of the predicted probabilities in bits; maximum log2(3) = 1.58.",
            former_name="doubt_bits",
        ),
    ),
)

TABLES = (
    FEATURE_CUSTOMER,
    SEGMENT,
    SEGMENT_PROFILE,
    TEXT,
    TEXT_NEAR_DUPLICATE,
    EXAMPLE,
    TRAINING_RECORD,
    LABEL_ISSUE,
    ANNOTATION_CANDIDATE,
)
