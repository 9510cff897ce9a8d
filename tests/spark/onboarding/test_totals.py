"""Lines of totals are recognised by a label and by a number that is the sum of its column."""

import pytest

from crm_spark.onboarding.file_grouping import known_file_words
from crm_spark.onboarding.totals import totals_in, without_totals

SALES = [("R1", "10.50", "Ada"), ("R2", "1,200.00", "Bea"), ("R3", "7.25", "Ada")]


@pytest.fixture(scope="module")
def words():
    from pathlib import Path

    return known_file_words(Path("conf/domains/file_words.yaml")).totals


def found_in(spark, words, rows):
    frame = spark.createDataFrame(rows, "No string, Amount string, Customer string")
    totals = totals_in(frame, words)
    return totals, without_totals(frame, totals).count()


@pytest.mark.parametrize("label", ["TOTAL", " Total:", "Summe", "总计", "Totale generale", "Итого"])
def test_last_line_with_the_sum(spark, words, label):
    totals, num_left = found_in(spark, words, [*SALES, (label, "1217.75", None)])  # 10.50 + 1,200.00 + 7.25
    assert (totals.column, totals.summed, totals.num_lines, num_left) == ("No", ("Amount",), 1, 3)


def test_totals_of_groups_and_of_all(spark, words):
    rows = [
        ("R1", "10", "Ada"),
        ("R3", "7", "Ada"),
        ("", "17", "Total Ada"),
        ("R2", "5", "Bea"),
        ("", "5", "Total Bea"),
    ]
    totals, num_left = found_in(spark, words, [*rows, ("", "22", "Grand total")])  # 17 + 5 + 22 = 2 x 22
    assert (totals.column, totals.num_lines, num_left) == ("Customer", 3, 3)
    assert "Ada" not in totals.matches


def test_decimal_commas(spark, words):
    totals, _ = found_in(spark, words, [("R1", "1.200,50", ""), ("R2", "0,25", ""), ("Gesamt", "1.200,75 €", "")])
    assert totals.summed == ("Amount",)


@pytest.mark.parametrize(
    "line",
    [
        ("Total", "99.00", None),  # not the sum
        ("R9", "1217.75", None),  # no label
        ("Totalia", "1217.75", None),  # another word
    ],
)
def test_a_label_or_a_sum_alone_is_no_evidence(spark, words, line):
    assert found_in(spark, words, [*SALES, line]) == (None, 4)


def test_condition_is_valid_in_a_source(words, spark):
    from crm_spark.sources.mappings import Condition

    totals, _ = found_in(spark, words, [*SALES, ("合计", "1217.75", None)])
    assert Condition.model_validate(totals.condition).column == "No"
