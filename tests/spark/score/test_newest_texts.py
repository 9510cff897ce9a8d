"""Selection of the newest texts within a budget."""

from datetime import date, timedelta

import pytest

from crm_spark.stages.score.newest_texts import newest_of

SCHEMA = "text_hash string, written_on date"
# Five texts on each of four days, and three undated ones.
ROWS = [(f"d{day}-{i}", date(2025, 1, 1) + timedelta(days=day)) for day in range(4) for i in range(5)]
ROWS += [(f"x-{i}", None) for i in range(3)]


def newest(spark, num_texts, rows=ROWS):
    return sorted(row["text_hash"] for row in newest_of(spark.createDataFrame(rows, SCHEMA), num_texts).collect())


@pytest.mark.parametrize(
    ("num_texts", "expected"),
    [
        (0, []),
        (2, ["d3-0", "d3-1"]),
        (5, [f"d3-{i}" for i in range(5)]),
        (7, ["d2-0", "d2-1", *(f"d3-{i}" for i in range(5))]),
        (21, sorted(["x-0", *(name for name, day in ROWS if day)])),
        (100, sorted(name for name, _ in ROWS)),
    ],
)
def test_newest_texts_are_returned_first(spark, num_texts, expected):
    assert newest(spark, num_texts) == expected == newest(spark, num_texts, ROWS[::-1])


def test_empty_input_yields_no_texts(spark):
    assert newest(spark, 5, []) == []
