"""Decisions hold in the final clusters, and other records stay where the linkage has put them."""

import random
from datetime import datetime

import pytest

from crm_spark.stages.resolve.decision_files import Decision
from crm_spark.stages.resolve.decisions import settled
from crm_spark.stages.resolve.enforcement import changes, enforced


def decision(left, right, is_same, second=0):
    return Decision("s", left, "s", right, is_same, datetime(2026, 1, 1, 0, second // 60, second % 60))


def after(spark, clusters, *decisions):
    """Records by cluster, as a set of strings such as `ab`."""
    members = [(f"s|{record}", name) for name, records in clusters.items() for record in records]
    found = enforced(spark.createDataFrame(members, "record_key string, cluster string"), decisions).collect()
    names = sorted({row["cluster"] for row in found})
    assert len(found) == len(members)
    return {"".join(sorted(row["record_key"][2:] for row in found if row["cluster"] == name)) for name in names}


def test_what_holds_already_is_left_as_it_is(spark):
    members = spark.createDataFrame([("s|a", "x"), ("s|b", "x"), ("s|c", "y")], "record_key string, cluster string")
    assert enforced(members, []) is members
    assert enforced(members, [decision("a", "b", True), decision("a", "c", False)]) is members


@pytest.mark.parametrize(
    ("clusters", "decisions", "expected"),
    [
        ({"x": "ab", "y": "cd"}, [("a", "c", True)], {"abcd"}),
        ({"x": "abc"}, [("a", "b", False)], {"ac", "b"}),
        ({"x": "abc"}, [("a", "b", False), ("a", "c", True)], {"ac", "b"}),
        # b is linked to d by the linkage, and d may not come with it: only b moves.
        ({"x": "a", "y": "bd"}, [("a", "b", True), ("a", "d", False)], {"ab", "d"}),
        ({"x": "ae", "y": "bd"}, [("a", "b", True), ("e", "d", False)], {"abe", "d"}),
        ({"x": "a", "y": "b", "z": "c"}, [("a", "b", True), ("b", "c", True)], {"abc"}),
        ({"x": "abcd"}, [("a", "b", True), ("c", "d", True), ("b", "c", False)], {"ab", "cd"}),
    ],
)
def test_decisions_hold(spark, clusters, decisions, expected):
    assert after(spark, clusters, *(decision(*each) for each in decisions)) == expected


def test_every_consistent_set_of_decisions_holds():
    draw = random.Random(7)
    for _ in range(500):
        records = [f"s|{i}" for i in range(10)]
        cluster_of = {record: f"c{draw.randrange(4)}" for record in records}
        made = []
        for second in range(draw.randrange(1, 14)):
            left, right = sorted(draw.sample(range(10), 2))
            made.append(decision(str(left), str(right), draw.random() < 0.5, second))
        _, applied, _ = settled(made)
        renamed, moved = changes({key: cluster_of[key] for d in applied for key in d.pair}, applied)
        final = {r: moved.get(r, renamed.get(c, c)) for r, c in cluster_of.items()}
        for each in applied:
            left, right = each.pair
            assert (final[left] == final[right]) is each.is_same, (cluster_of, applied)
