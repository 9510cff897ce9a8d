"""Scores: predictions about customers, products and texts, each with the model that made them."""

from crm_spark.contracts.features import AS_OF
from crm_spark.contracts.gold import CUSTOMER_ID
from crm_spark.contracts.types import DATE, DOUBLE, INT, LONG, MONEY, STRING, STRINGS
from crm_spark.core.contract import ColumnContract, TableContract, optional, required

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
    grain=("text_hash", "model_version"),
    doc="What a text says, by one model model. Equal texts are scored once.",
    columns=(
        required("text_hash", STRING, "SHA-256 of the text as scored (title and text, redacted)."),
        required("model_version", STRING, "Content hash of the model."),
        required("label", STRING, "recommends, does_not_recommend or no_clear_opinion."),
        required("p_recommends", DOUBLE, "Probability."),
        required("p_does_not_recommend", DOUBLE, "Probability."),
        required("p_no_clear_opinion", DOUBLE, "Probability."),
    ),
)
NO_ASPECT = "none"
SCORE_ASPECT = TableContract(
    name="scores.aspect",
    grain=("text_hash", "model_version", "aspect"),
    doc="How a text speaks of an aspect, by one model model. A text that speaks of none has one row that says so.",
    columns=(
        required("text_hash", STRING, "SHA-256 of the redacted text; features.text knows the record."),
        required("model_version", STRING, "Content hash of the model."),
        required("aspect", STRING, "Delivery, price ... as the company's aspects name it; `none`."),
        required("num_clauses", INT, "Clauses of the text that speak of it."),
        optional("sentiment", DOUBLE, "Mean over these clauses, each read alone: from -1 to 1."),
        optional("label", STRING, "The verdict of their mean probabilities."),
        required("aspects_version", STRING, "Digest of the aspects' words."),
    ),
)


def _sentiment_over_time(name: str, doc: str, *subject: ColumnContract) -> TableContract:
    return TableContract(
        name=name,
        grain=(*(column.name for column in subject), "month"),
        doc=f"{doc} Sentiment is P(recommends) - P(does_not_recommend) of a text, from -1 to 1.",
        columns=(
            *subject,
            required("month", DATE, "Its first day."),
            required("num_texts", LONG, "Texts written in it."),
            required("mean_sentiment", DOUBLE, "Mean over these texts."),
            optional("standard_error", DOUBLE, "Of the mean; null for a single text."),
            optional("change", DOUBLE, "Mean sentiment less that of the month with texts before; null in the first."),
        ),
    )


CUSTOMER_SENTIMENT = _sentiment_over_time(
    "scores.customer_sentiment", "How a customer's texts of a month sound.", CUSTOMER_ID
)
PRODUCT_SENTIMENT = _sentiment_over_time(
    "scores.product_sentiment",
    "How the texts of a month about a product sound.",
    required("system", STRING, "Name space of product_id."),
    required("product_id", STRING, "The product."),
)
DRIVING_WORD = TableContract(
    name="scores.driving_word",
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
            "mean_attribution",
            DOUBLE,
            "Mean over these texts of what the word adds to the logit of the verdict's probability.",
        ),
        required("model_version", STRING, "Content hash of the model."),
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
    DRIVING_WORD,
)
