"""Facts about customer texts; rows with too few customers are left out."""

from datetime import date

import pytest
from support.lake import AS_OF, frame, lake_context, put

from crm_spark.contracts.features import SEGMENT_PROFILE, TEXT
from crm_spark.contracts.gold import CUSTOMER_LINK
from crm_spark.contracts.scores import DRIVING_WORD, SCORE_ASPECT, SCORE_TEXT
from crm_spark.contracts.silver import PRODUCT
from crm_spark.stages.report.topic_facts import aspects, product_sentiment, sentiment_by_month, topic_facts

SCORED_TEXTS = "system string, product_id string, written_on date, text_hash string, writer string, model_version string, sentiment double"
NOW, BEFORE = date(2025, 1, 20), date(2024, 10, 1)  # of 91 days the last begin on 2 November


def scored_texts(spark, *rows):
    """Each row: product, day, text, writer, sentiment."""
    rows = [("shop", product, day, text, writer, "b", sentiment) for product, day, text, writer, sentiment in rows]
    return spark.createDataFrame(rows, SCORED_TEXTS)


def test_aspects_count_records_and_need_enough_customers(spark):
    texts = scored_texts(
        spark,
        (None, NOW, "t1", "anna", 0.0),
        (None, NOW, "t1", "ben", 0.0),  # the same text by another customer
        (None, NOW, "t2", "anna", 0.0),
        (None, None, "t3", "cleo", 0.0),
    )
    rows = [
        ("t1", "b", "price", 0.5),
        ("t2", "b", "price", -0.4),
        ("t3", "b", "price", 0.6),
        ("t2", "b", "service", 1.0),
    ]
    rows += [("t1", "b", "none", None), ("t1", "old", "price", -1.0)]  # by another model version
    scored = frame(
        spark,
        SCORE_ASPECT,
        [{"text_hash": t, "model_version": b, "aspect": a, "sentiment": sentiment} for t, b, a, sentiment in rows],
    )
    (price,) = aspects(texts, scored, 3)
    assert (price["aspect"], price["n"], price["sentiment"]) == (
        "price",
        4,
        pytest.approx(0.3),
    )  # (0.5 + 0.5 - 0.4 + 0.6) / 4
    assert price["standard_error"] == pytest.approx(0.23452, abs=1e-5)  # sqrt(0.66 / 3) / 2
    assert [row["aspect"] for row in aspects(texts, scored, 1)] == ["price", "service"]
    assert aspects(texts, scored, 4) == []


def test_months_are_ordered_and_need_enough_customers(spark):
    texts = scored_texts(
        spark,
        (None, date(2025, 1, 31), "t1", "anna", 1.0),
        (None, date(2025, 1, 1), "t2", "ben", 0.5),
        (None, date(2024, 12, 5), "t3", "anna", -1.0),
        (None, date(2024, 12, 6), "t4", "cleo", 0.0),
        (None, date(2024, 11, 6), "t5", "cleo", 0.0),
        (None, date(2024, 11, 7), "t6", "cleo", 0.0),  # two texts of one customer
        (None, None, "t7", "dora", 0.0),
    )
    months = [(row["month"], row["n"], row["sentiment"]) for row in sentiment_by_month(texts, 2)]
    assert months == [("2024-12", 2, -0.5), ("2025-01", 2, 0.75)]


def in_both_periods(product, before, now):
    """One text per customer and sentiment, before and within the last 91 days."""
    periods = ((BEFORE, before), (NOW, now))
    return [
        (product, day, f"{product}{day}{i}", f"c{i}", t)
        for day, sentiments in periods
        for i, t in enumerate(sentiments)
    ]


def test_products_with_significant_change_are_listed(spark):
    texts = scored_texts(
        spark,
        *in_both_periods("fell", [0.5, 0.7, 0.6], [-0.5, -0.4, -0.6]),
        *in_both_periods("rose", [0.0, 0.1, -0.1], [0.5, 0.6, 0.4]),
        *in_both_periods("noisy", [-1.0, 1.0, 0.9], [1.0, -1.0, 1.0]),  # a change within its standard error
        *in_both_periods("rare", [0.5, 0.5], [-0.5, -0.5]),
        *in_both_periods("young", [], [1.0, 1.0, 1.0]),
        *in_both_periods(None, [1.0, 1.0, 1.0], [-1.0, -1.0, -1.0]),
    )
    products = frame(spark, PRODUCT, [{"system": "shop", "product_id": "fell", "name": "Lamp"}])
    rows = product_sentiment(texts, products, AS_OF, 91, 3)
    assert [(r["product_id"], r["name"], r["n_before"], r["n_now"], round(r["change"], 6)) for r in rows] == [
        ("fell", "Lamp", 3, 3, -1.1),
        ("rose", None, 3, 3, 0.5),
    ]
    assert [round(rows[0][period], 6) for period in ("before", "now")] == [0.6, -0.5]


def test_topic_facts_of_a_lake_are_computed(spark, tmp_path):
    tables = lake_context(spark, tmp_path).tables
    people = [f"p{i}" for i in range(4)]
    put(tables, CUSTOMER_LINK, [{"system": "shop", "person_id": p, "customer_id": "merged" if p in ("p0", "p1") else p}
                                for p in people])  # fmt: skip
    record = {"system": "shop", "entity": "feedback", "source": "reviews", "text_hash": "t", "written_on": NOW}
    put(tables, TEXT, [*({**record, "record_id": p, "person_id": p} for p in people),
                          {**record, "record_id": "late", "person_id": "p0", "written_on": date(2025, 2, 1)}])  # fmt: skip
    put(
        tables,
        SCORE_TEXT,
        [{"text_hash": "t", "model_version": "b", "p_recommends": 0.75, "p_does_not_recommend": 0.25}],
    )
    put(tables, SCORE_ASPECT, [{"text_hash": "t", "model_version": "b", "aspect": "price", "sentiment": 0.5}])
    put(tables, SEGMENT_PROFILE, [{"segment_id": 1, "as_of": AS_OF, "name": "Champions", "revenue_fraction": 0.5}])
    words = [("late", -0.5, 9), ("good", 0.25, 9), ("great", 0.5, 3), ("rare", 2.0, 2)]
    put(tables, DRIVING_WORD, [{"segment_id": 1, "label": "recommends", "word": word, "as_of": AS_OF, "mean_attribution": share,
                              "num_customers": n, "num_texts": n} for word, share, n in words])  # fmt: skip
    facts = topic_facts(tables, ("b",), AS_OF, horizon_days=91, min_customers_per_cell=3)
    assert [(row["aspect"], row["n"], row["sentiment"]) for row in facts["aspects"]] == [("price", 4, 0.5)]
    assert [(row["month"], row["n"], row["sentiment"]) for row in facts["sentiment_by_month"]] == [("2025-01", 4, 0.5)]
    assert [tuple(row.values()) for row in facts["segment_words"]] == [
        ("Champions", "recommends", "great", 0.5, 3),
        ("Champions", "recommends", "good", 0.25, 9),
    ]
    # Two of the four people are one customer: three customers wrote.
    assert topic_facts(tables, ("b",), AS_OF, horizon_days=91, min_customers_per_cell=4)["aspects"] == []


def test_empty_lake_has_no_topic_facts(spark, tmp_path):
    facts = topic_facts(lake_context(spark, tmp_path).tables, (), AS_OF, horizon_days=91, min_customers_per_cell=5)
    assert set(map(len, facts.values())) == {0}
