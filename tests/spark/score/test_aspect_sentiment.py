"""Aspect mentions and aspect sentiment."""

import hashlib

import pytest

from crm_spark.stages.score.aspect_sentiment import aspect_sentiment, clauses, mentions
from crm_spark.stages.score.aspects import Aspects, AspectWords
from crm_spark.text.labels import LABELS

KNOWN = Aspects(
    AspectWords(
        aspects={"delivery": {"en": ["deliver*"], "de": ["liefer*"]}, "price": {"en": ["price"], "de": ["preis"]}},
        turns={"en": ["but"]},
    )
)
TEXTS = [
    ("one", "Late delivery. The delivery came, but the price is fine", "en"),
    ("two", "Late delivery. Preis", "en"),  # the price term is in another language
    ("three", "Lieferung und Preis", None),
    ("four", "Nothing of that", "en"),
]


def digest(text):
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.fixture
def mentioned(spark):
    return mentions(spark.createDataFrame(TEXTS, "text_hash string, text string, language string"), KNOWN)


def test_texts_without_aspects_have_a_row_with_aspect_none(mentioned):
    assert sorted(tuple(row) for row in mentioned.collect()) == sorted(
        [
            ("one", "delivery", "Late delivery.", digest("Late delivery.")),
            ("one", "delivery", "The delivery came", digest("The delivery came")),
            ("one", "price", "but the price is fine", digest("but the price is fine")),
            ("two", "delivery", "Late delivery.", digest("Late delivery.")),
            ("three", "delivery", "Lieferung und Preis", digest("Lieferung und Preis")),
            ("three", "price", "Lieferung und Preis", digest("Lieferung und Preis")),
            ("four", "none", None, None),
        ]
    )


def test_equal_clauses_are_scored_once(mentioned):
    assert sorted(row["text"] for row in clauses(mentioned).collect()) == [
        "Late delivery.", "Lieferung und Preis", "The delivery came", "but the price is fine",
    ]  # fmt: skip


READ = {
    "Late delivery.": (0.1, 0.7, 0.2),
    "The delivery came": (0.5, 0.1, 0.4),
    "but the price is fine": (0.75, 0.25, 0.0),
    "Lieferung und Preis": (0.25, 0.25, 0.5),
}


def sentiments(spark, mentioned, decision):
    read = [(digest(text), *shares) for text, shares in READ.items()]
    schema = "text_hash string, " + ", ".join(f"p_{label} double" for label in LABELS)
    rows = aspect_sentiment(mentioned, spark.createDataFrame(read, schema), decision=decision).collect()
    return {(row["text_hash"], row["aspect"]): (row["num_clauses"], row["sentiment"], row["label"]) for row in rows}


def test_sentiment_is_the_mean_over_clauses(spark, mentioned):
    sentiment = sentiments(spark, mentioned, [1.0, 1.0, 1.0])
    assert sentiment == {
        ("one", "delivery"): (2, -0.1, "does_not_recommend"),  # (-0.6 + 0.4) / 2; 0.3, 0.4, 0.3
        ("one", "price"): (1, 0.5, "recommends"),
        ("two", "delivery"): (1, -0.6, "does_not_recommend"),
        ("three", "delivery"): (1, 0.0, "no_clear_opinion"),
        ("three", "price"): (1, 0.0, "no_clear_opinion"),
        ("four", "none"): (0, None, None),
    }
    assert sum(sentiment[key][0] for key in sentiment) == 6  # the mentions with a clause


def test_decision_weights_affect_the_label_but_not_the_sentiment(spark, mentioned):
    weighted = sentiments(spark, mentioned, [1.0, 4.0, 1.0])
    assert weighted["one", "price"] == (1, 0.5, "does_not_recommend")  # 0.75 against 4 x 0.25
