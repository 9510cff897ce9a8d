"""Segment names: true of the medians, unique, kept while they are true."""

import itertools
import re

import pytest
from pydantic import ValidationError

from crm_spark.stages.segment.config import Archetype, SegmentConfig
from crm_spark.stages.segment.naming import Medians, segment_names

ARCHETYPES = SegmentConfig().archetypes
FREQUENCY_WORDS = re.compile(r"loyal|regular|occasional|rare|steady|champion|orders", re.I)
VALUE_WORDS = re.compile(r"champion|big|small|good|revenue", re.I)
RECENCY_WORDS = re.compile(r"champion|loyal|recent|slipping|lost|inactive", re.I)


def named(*medians, former=None, archetypes=ARCHETYPES, horizon_days=91):
    """Names of the segments 1, 2, 3 ... with these medians."""
    by_id = {i: Medians(*values) for i, values in enumerate(medians, start=1)}
    names = segment_names(by_id, archetypes, horizon_days=horizon_days, former=former or {})
    assert list(names) == list(by_id) and len(set(names.values())) == len(names)
    return list(names.values())


def test_names_match_segments_that_differ_in_everything():
    assert named((5, 12, 900.0), (300, 1, 15.0), (20, 1, 20.0), (350, 9, 700.0)) == [
        "Champions",
        "Lost small buyers",
        "Recent and occasional",
        "Lost good customers",
    ]


@pytest.mark.parametrize("orders", [1, 2, 7])
def test_no_frequency_words_where_the_number_of_orders_does_not_vary(orders):
    names = named((5, orders, 900.0), (20, orders, 20.0), (300, orders, 15.0), (310, orders, 800.0))
    assert [name for name in names if FREQUENCY_WORDS.search(name)] == []
    assert names == [
        "Recent buyers with high revenue",
        "Recent buyers with low revenue",
        "Lost small buyers",
        "Lost good customers",
    ]


def test_only_segments_that_differ_get_frequency_words():
    names = named((5, 1, 20.0), (20, 1, 20.0), (300, 1, 20.0), (10, 4, 20.0))
    assert FREQUENCY_WORDS.search(names[3]) and names[3] == "Loyal regulars"
    # One order is few beside four.
    assert names[0] == "Recent and occasional"
    middle = named((5, 1, 1.0), (5, 3, 1.0), (5, 9, 1.0), horizon_days=1)[1]
    assert not FREQUENCY_WORDS.search(middle)


def test_no_value_words_where_revenue_is_equal_or_unknown():
    for revenue in (0.0, 50.0, None):
        names = named((5, 9, revenue), (40, 3, revenue), (300, 1, revenue), (200, 8, revenue))
        assert [name for name in names if VALUE_WORDS.search(name)] == []


def test_no_recency_words_where_recency_is_equal():
    names = named((30, 9, 900.0), (30, 3, 80.0), (30, 1, 15.0))
    assert [name for name in names if RECENCY_WORDS.search(name)] == []


@pytest.mark.parametrize(("days", "horizon_days"), [((1, 10, 40, 85), 91), ((5, 20, 60, 360), 365)])
def test_nobody_is_lost_or_slipping_away_within_the_horizon(days, horizon_days):
    names = named(*((day, 1, 10.0 * i) for i, day in enumerate(days)), horizon_days=horizon_days)
    assert [name for name in names if re.search("lost|slipping|inactive", name, re.I)] == []


@pytest.mark.parametrize("days", [(92, 150, 400), (500, 800, 2000)])
def test_nobody_is_recent_before_the_horizon(days):
    names = named(*((day, 3 - i, 10.0) for i, day in enumerate(days)))
    assert [name for name in names if re.search("recent|loyal|champion", name, re.I)] == []


def test_segments_without_any_difference_get_plain_unique_names():
    assert named((5, 1, 9.0), (5, 1, 9.0), (5, 1, 9.0)) == [
        "Other buyers",
        "Other buyers (segment 2)",
        "Other buyers (segment 3)",
    ]


def test_names_are_true_and_unique_for_all_combinations():
    for values in itertools.product(
        [(3, 1, None), (3, 1, 0.0), (200, 2, 5.0), (95, 1, 500.0), (20, 6, 500.0)], repeat=3
    ):
        for name, (recency, orders, revenue) in zip(named(*values), values):
            others = [v for v in values if v != (recency, orders, revenue)]
            if re.search("loyal|regular|steady|champion|many orders", name, re.I):
                assert orders >= 2 and orders > min(v[1] for v in others)
            if re.search("occasional|rare|few orders", name, re.I):
                assert orders < max(v[1] for v in others)
            if re.search("lost|slipping|inactive", name, re.I):
                assert recency > 91 and recency > min(v[0] for v in others)
            if re.search("champion|big|good|high revenue", name, re.I):
                assert revenue is not None and revenue > min(v[2] for v in others if v[2] is not None)


def test_a_name_is_kept_while_it_is_true():
    now = (10, 6, 400.0), (15, 1, 30.0), (200, 1, 20.0)
    assert named(*now, former={1: "Loyal regulars", 2: "Recent and occasional"})[:2] == [
        "Loyal regulars",
        "Recent and occasional",
    ]
    # Nobody bought twice any more, and a name of another configuration cannot be checked.
    later = (10, 1, 400.0), (15, 1, 30.0), (200, 1, 20.0)
    names = named(*later, former={1: "Loyal regulars", 2: "Former name", 3: "Lost small buyers"})
    assert names == ["Recent buyers with high revenue", "Recent buyers with low revenue", "Lost small buyers"]
    numbered = {2: "Other buyers (segment 2)"}
    assert named((5, 1, 9.0), (5, 1, 9.0), former=numbered) == ["Other buyers", "Other buyers (segment 2)"]


def test_a_name_says_all_dimensions_unless_it_declares_them():
    everything = Archetype(name="A", recency=-1, frequency=1, monetary=0)
    assert everything.claims == {"recency": -1, "frequency": 1}
    assert Archetype(name="A", recency=-1, frequency=1, monetary=1, says=("monetary",)).claims == {"monetary": 1}
    with pytest.raises(ValidationError, match="says monetary: give a position other than 0"):
        Archetype(name="A", recency=-1, frequency=1, monetary=0, says=("monetary",))
