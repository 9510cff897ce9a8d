"""Monthly sentiment: means, standard errors, changes."""

from datetime import date

from crm_spark.stages.score.sentiment import sentiment_by_month

SAID = [
    ("a", date(2025, 1, 1), 1.0),
    ("a", date(2025, 1, 31), 0.0),
    ("a", date(2025, 3, 15), -0.5),
    ("b", date(2025, 1, 10), 0.25),
]
JANUARY, MARCH = date(2025, 1, 1), date(2025, 3, 1)


def months(spark, texts):
    frame = spark.createDataFrame(texts, "customer_id string, written_on date, sentiment double").repartition(2)
    rows = sentiment_by_month(frame, "customer_id").collect()
    by_month = {(row["customer_id"], row["month"]): tuple(row)[2:] for row in rows}
    assert len(by_month) == len(rows)
    return by_month


def test_means_standard_errors_and_changes_are_computed(spark):
    assert months(spark, SAID) == {
        ("a", JANUARY): (2, 0.5, 0.5, None),  # deviation sqrt(0.5) over sqrt(2)
        ("a", MARCH): (1, -0.5, None, -1.0),  # change from January: no texts in February
        ("b", JANUARY): (1, 0.25, None, None),
    }


def test_result_is_independent_of_the_row_order(spark):
    assert months(spark, SAID[::-1]) == months(spark, SAID)
