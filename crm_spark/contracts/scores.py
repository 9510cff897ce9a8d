"""Contracts of the `scores` layer: predictions for customers, products and texts, with the model version."""

from crm_spark.contracts.features import AS_OF
from crm_spark.contracts.gold import CUSTOMER_ID
from crm_spark.contracts.types import DATE, DOUBLE, INT, LONG, MONEY, STRING, STRINGS
from crm_spark.core.contract import ColumnContract, Sensitivity, TableContract, optional, required

CHURN = TableContract(
    name="scores.churn",
    grain=("customer_id", "as_of"),
    doc="Probability that a customer with at least one order does not order within `company.horizon_days` after as_of.",
    columns=(
        CUSTOMER_ID,
        AS_OF,
        required("probability", DOUBLE, "Churn probability, in [0, 1]."),
        required("risk", STRING, "low, medium or high."),
        required(
            "reasons",
            STRINGS,
            "Features that increase the probability most, strongest first; only those whose description is true of the customer.",
        ),
        required("model", STRING, "Model name and version."),
    ),
    partition_by=("as_of",),
)
LIFETIME_VALUE = TableContract(
    name="scores.lifetime_value",
    grain=("customer_id", "as_of"),
    doc="Revenue expected from a customer within `company.horizon_days` after as_of.",
    columns=(
        CUSTOMER_ID,
        AS_OF,
        required("expected_revenue", MONEY, "Expected revenue in the reporting currency."),
        required("value_band", STRING, "high (top 10 %), medium (next 40 %) or low (the rest)."),
        required("model", STRING, "Model name and version."),
    ),
    partition_by=("as_of",),
)
RECOMMENDATION = TableContract(
    name="scores.recommendation",
    grain=("customer_id", "as_of", "rank"),
    doc="Products recommended to a customer, best first, without products already bought.",
    columns=(
        CUSTOMER_ID,
        AS_OF,
        required("rank", INT, "Rank, starting at 1 (best)."),
        required("system", STRING, "Namespace of product_id."),
        required("product_id", STRING, "Product."),
        required("score", DOUBLE, "Model score; higher is better, not comparable across models."),
        required("model", STRING, "`popularity`, or `als` with its version."),
    ),
    partition_by=("as_of",),
)
SCORE_TEXT = TableContract(
    name="scores.text",
    grain=("text_hash", "model_version"),
    doc="Predicted label of each distinct text, per model version.",
    columns=(
        required("text_hash", STRING, "SHA-256 of the scored text (title and text, redacted)."),
        required("model_version", STRING, "Version of the text model (content hash).", former_name="bundle_version"),
        required("label", STRING, "recommends, does_not_recommend or no_clear_opinion."),
        required("p_recommends", DOUBLE, "Probability of `recommends`."),
        required("p_does_not_recommend", DOUBLE, "Probability of `does_not_recommend`."),
        required("p_no_clear_opinion", DOUBLE, "Probability of `no_clear_opinion`."),
    ),
)
NO_ASPECT = "none"
SCORE_ASPECT = TableContract(
    name="scores.aspect",
    grain=("text_hash", "model_version", "aspect"),
    doc="Sentiment of each aspect mentioned in a text, per model version. A text without aspects has one row, aspect `none`.",
    columns=(
        required("text_hash", STRING, "SHA-256 of the redacted text; join features.text for the record."),
        required("model_version", STRING, "Version of the text model (content hash).", former_name="bundle_version"),
        required("aspect", STRING, "Aspect name from the aspects configuration, or `none`."),
        required("num_clauses", INT, "Number of clauses that mention the aspect."),
        optional(
            "sentiment",
            DOUBLE,
            "Mean sentiment of these clauses, each scored separately, from -1 to 1.",
            former_name="tone",
        ),
        optional("label", STRING, "Label with the highest mean probability over these clauses."),
        required("aspects_version", STRING, "Digest of the aspect definitions."),
    ),
)


def _sentiment_over_time(name: str, former_name: str, doc: str, *subject: ColumnContract) -> TableContract:
    return TableContract(
        name=name,
        former_name=former_name,
        grain=(*(column.name for column in subject), "month"),
        doc=f"{doc} Sentiment is P(recommends) - P(does_not_recommend) of a text, from -1 to 1.",
        columns=(
            *subject,
            required("month", DATE, "First day of the month."),
            required("num_texts", LONG, "Number of texts written in the month."),
            required("mean_sentiment", DOUBLE, "Mean sentiment of these texts.", former_name="mean_tone"),
            optional("standard_error", DOUBLE, "Standard error of the mean; null for a single text."),
            optional("change", DOUBLE, "Difference from the previous month with texts; null for the first."),
        ),
    )


CUSTOMER_SENTIMENT = _sentiment_over_time(
    "scores.customer_sentiment", "scores.customer_tone", "Monthly sentiment of a customer's texts.", CUSTOMER_ID
)
PRODUCT_SENTIMENT = _sentiment_over_time(
    "scores.product_sentiment",
    "scores.product_tone",
    "Monthly sentiment of the texts about a product.",
    required("system", STRING, "Namespace of product_id."),
    required("product_id", STRING, "Product."),
)
WORD_ATTRIBUTION = TableContract(
    name="scores.word_attribution",
    grain=("text_hash", "word", "model_version", "stop_words_version"),
    doc="Attributions of the words of sampled texts, from which scores.driving_word is computed; a text is explained once.",
    columns=(
        required("text_hash", STRING, "SHA-256 of the text (title and text, redacted)."),
        required("word", STRING, "Word in lower case; empty for a text of stop words only.", Sensitivity.PERSONAL),
        required("label", STRING, "Predicted label of the text."),
        required("attribution", DOUBLE, "Total attribution of the word to the label's logit."),
        required("model_version", STRING, "Version of the text model (content hash)."),
        required("stop_words_version", STRING, "Digest of the stop words that were left out."),
    ),
)
DRIVING_WORD = TableContract(
    name="scores.driving_word",
    former_name="scores.word",
    grain=("segment_id", "label", "word", "as_of"),
    doc="Words that drive the predicted label in a sample of a segment's texts. Words used by few customers are suppressed.",
    columns=(
        required("segment_id", INT, "Segment; join features.segment_profile for its name."),
        required("label", STRING, "Predicted label of the texts."),
        required("word", STRING, "Word in lower case."),
        AS_OF,
        required("num_texts", LONG, "Number of sampled texts with this label that contain the word."),
        required("num_customers", LONG, "Number of customers who wrote them."),
        required(
            "mean_attribution",
            DOUBLE,
            "Mean attribution of the word to the label's logit over these texts.",
            former_name="mean_share",
        ),
        required("model_version", STRING, "Version of the text model (content hash).", former_name="bundle_version"),
    ),
    partition_by=("as_of",),
)

TABLES = (
    CHURN,
    LIFETIME_VALUE,
    RECOMMENDATION,
    SCORE_TEXT,
    SCORE_ASPECT,
    CUSTOMER_SENTIMENT,
    PRODUCT_SENTIMENT,
    WORD_ATTRIBUTION,
    DRIVING_WORD,
)
