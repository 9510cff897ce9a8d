"""Pairs for review: which are asked, what is said about them, and the quality that answers show."""

from datetime import datetime

import pytest
from support.lake import lake_context

from crm_spark.contracts.gold import IDENTITY_REVIEW
from crm_spark.stages.resolve.decision_files import APART, LINKED, Decision
from crm_spark.stages.resolve.review import Estimate, pairs_for_review, quality_from, sentence, wilson

RECORDS = {
    "crm|a|1": ("anna", "berg", "19800412", "berlin"),
    "crm|b": ("anna", "berg", "19800413", "bonn"),
    "shop|c": ("a", "berk", "19801204", None),
    "shop|d": ("berg", "anna", "19800412", "bad bonn"),
    "shop|e": ("ida", "wolf", "20010101", "bonn"),
}
CUSTOMERS = {"crm|a|1": "c1", "crm|b": "c2", "shop|c": "c2", "shop|d": "c3", "shop|e": "c3"}
WEIGHTS = {"given_key": 9.2, "family_name": 3.0, "birth_digits": 4.1, "city": -2.0}
PAIRS = [
    ("crm|a|1", "crm|b", 0.6, WEIGHTS),
    ("crm|a|1", "shop|c", 0.8, {"given_key": 1.0, "family_name": 2.0, "birth_digits": 3.0}),
    ("crm|a|1", "shop|d", 0.3, {"given_key": 1.0, "family_name": 2.0, "birth_digits": 7.0, "city": -1.0}),
    ("shop|d", "shop|e", 0.89, {"given_key": -5.0}),
    ("crm|b", "shop|e", 0.95, {"city": 1.0}),
    ("crm|b", "shop|d", 0.1, {"city": 1.0}),
]


def asked(spark, *, decided=None, max_pairs=10, pairs=PAIRS):
    frame = spark.createDataFrame(
        pairs, "record_key_l string, record_key_r string, match_probability double, weights map<string,double>"
    )
    links = spark.createDataFrame(list(CUSTOMERS.items()), "record_key string, customer_id string")
    columns = "record_key string, given_key string, family_name string, birth_digits string, city string"
    records = spark.createDataFrame([(key, *values) for key, values in RECORDS.items()], columns)
    if decided is not None:
        decided = spark.createDataFrame(decided, "record_key_l string, record_key_r string, is_same boolean")
    return pairs_for_review(frame, links, records, low=0.2, high=0.9, max_pairs=max_pairs, decided=decided)


def by_pair(frame):
    rows = frame.collect()
    return {(f"{r.system}|{r.person_id}", f"{r.other_system}|{r.other_person_id}"): r for r in rows}


def test_the_most_doubtful_pair_of_two_customers_is_asked(spark, tmp_path):
    frame = asked(spark)
    found = by_pair(frame)
    # a-c is of the same customers as a-b, which is closer to 0.5; b-e and b-d are outside the band.
    assert set(found) == {("crm|a|1", "crm|b"), ("crm|a|1", "shop|d"), ("shop|d", "shop|e")}
    assert {pair: row.is_one_customer for pair, row in found.items() if row.is_one_customer} == {
        ("shop|d", "shop|e"): True
    }
    row = found["crm|a|1", "crm|b"]
    assert (row.person_id, row.customer_id, row.other_customer_id, row.status) == ("a|1", "c1", "c2", "open")
    tables = lake_context(spark, tmp_path / "lake").tables
    tables.replace(IDENTITY_REVIEW, frame, batch_id="1", digest="1")
    assert tables.read(IDENTITY_REVIEW).count() == 3


def test_more_pairs_than_wanted(spark):
    assert set(by_pair(asked(spark, max_pairs=1))) == {("crm|a|1", "crm|b")}  # 0.6, 0.3 and 0.89: 0.6 is next to 0.5


def test_decided_pairs_are_left_out_and_undone_ones_return(spark):
    found = by_pair(asked(spark, decided=[("crm|a|1", "crm|b", True), ("crm|a|1", "shop|d", None)]))
    assert {pair: row.status for pair, row in found.items()} == {
        ("crm|a|1", "shop|c"): "open",
        ("crm|a|1", "shop|d"): "reopened",
        ("shop|d", "shop|e"): "open",
    }


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (
            0,
            "given name: same rare value (+9 bits); birth date: one digit differs (+4); family name: same (+3); city: differs (-2)",
        ),
        (
            1,
            "birth date: the same digits in another order (+3 bits); family name: one character differs (+2); given name: initial (+1)",
        ),
        (
            2,
            "birth date: same rare value (+7 bits); family name: in the place of another name (+2); city: differs (-1); given "
            "name: in the place of another name (+1)",
        ),
        (3, "given name: differs (-5 bits)"),
    ],
)
def test_the_comparison_in_words(spark, number, text):
    (row,) = asked(spark, pairs=[PAIRS[number]]).collect()
    assert sentence((e.column, e.comparison, e.bits) for e in row.evidence) == text


def test_wilson_interval():
    # 95 of 100: centre (0.95 + 1.9207/100) / (1 + 3.8415/100) = 0.9333, half width 0.0451
    assert wilson(95, 100) == Estimate(0.95, pytest.approx(0.8882, abs=1e-4), pytest.approx(0.9785, abs=1e-4), 100)
    assert wilson(5, 5).low == pytest.approx(0.5655, abs=1e-4) and wilson(5, 5).high == 1.0
    with pytest.raises(ValueError, match="labels"):
        wilson(0, 0)


def labels(sample, num_same, num_different):
    answers = [True] * num_same + [False] * num_different
    return [Decision("s", "1", "s", str(i), a, datetime(2026, 1, 1), sample=sample) for i, a in enumerate(answers)]


def test_quality_needs_labels_of_a_random_sample():
    assert quality_from([]) is None
    assert quality_from(labels(None, 50, 50)) is None


def test_precision_and_recall():
    found = quality_from([*labels(LINKED, 95, 5), *labels(None, 0, 40)])
    assert found.precision.value == 0.95 and found.precision.num_labels == 100 and found.recall is None
    found = quality_from([*labels(LINKED, 95, 5), *labels(APART, 2, 98)], num_links=1000, num_apart=500)
    # 950 right links were made, 2 % of 500 pairs were missed: 950 / 960
    assert found.recall.value == pytest.approx(950 / 960)
    # Bounds of 2 of 100: 0.0055 and 0.0700. 888.2 / (888.2 + 35.0) and 978.5 / (978.5 + 2.8)
    assert (found.recall.low, found.recall.high) == (pytest.approx(0.962, abs=1e-3), pytest.approx(0.997, abs=1e-3))
