"""Segment stage: complete assignment, stable ids and names."""

from datetime import date

import pytest
from support.lake import AS_OF, lake_context, put

from crm_spark.contracts.features import FEATURE_CUSTOMER, SEGMENT, SEGMENT_PROFILE
from crm_spark.stages.segment import stage

NEXT_MONTH = date(2025, 2, 28)
NUM_EACH = 30
JANUARY = {  # days since the last order, orders, revenue: far apart on the scale of logarithms
    "champions": (3, 40, 4000.0),
    "occasional": (6, 1, 20.0),
    "lost_small": (400, 1, 15.0),
    "fading": (60, 2, 100.0),
}
FEBRUARY = {**{name: (r + 1, n, m * 1.05) for name, (r, n, m) in JANUARY.items()}, "lost_good": (400, 40, 4000.0)}
del FEBRUARY["fading"]  # this group ends; good customers who stopped buying form a new segment


def customers(groups, day):
    rows = [
        {
            "customer_id": f"{name}-{i:02d}",
            "as_of": day,
            "recency_days": recency + i % 3,
            "num_orders": orders + i % 2,
            "monetary": monetary * (1 + i / 100),
        }
        for name, (recency, orders, monetary) in groups.items()
        for i in range(NUM_EACH)
    ]
    return rows + [{"customer_id": f"visitor-{i}", "as_of": day} for i in range(5)]


def groups_by_id(ctx):
    """Segment id of each group, or several if a group is split."""
    rows = ctx.tables.read(SEGMENT).where(f"as_of = '{ctx.as_of}'").collect()
    ids_of = {}
    for row in rows:
        ids_of.setdefault(row["customer_id"].split("-")[0], set()).add(row["segment_id"])
    return {name: ids.pop() if len(ids) == 1 else ids for name, ids in ids_of.items()}, rows


def profiles(ctx):
    rows = ctx.tables.read(SEGMENT_PROFILE).where(f"as_of = '{ctx.as_of}'").collect()
    return {row["segment_id"]: row for row in rows}


def names(ctx):
    return {segment_id: row["name"] for segment_id, row in profiles(ctx).items()}


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    return tmp_path_factory.mktemp("lake")


@pytest.fixture(scope="module")
def context(spark, lake):
    def make(fingerprint, as_of):
        return lake_context(spark, lake, "segment.max_k=4", fingerprint=fingerprint * 64, as_of=as_of)

    return make


@pytest.fixture(scope="module")
def january(context):
    """Segments of the first snapshot."""
    ctx = context("1", AS_OF)
    put(ctx.tables, FEATURE_CUSTOMER, customers(JANUARY, AS_OF))
    assert stage.run(ctx).num_rows == 125  # 4 groups of 30, 5 visitors
    return *groups_by_id(ctx), profiles(ctx)


@pytest.fixture(scope="module")
def february(context, january):
    """The next snapshot: three groups continue, one ended, one is new."""
    ctx = context("2", NEXT_MONTH)
    put(ctx.tables, FEATURE_CUSTOMER, customers(FEBRUARY, NEXT_MONTH))
    stage.run(ctx)
    return groups_by_id(ctx)[0], names(ctx)


def test_every_customer_is_in_one_segment_and_non_buyers_in_segment_0(january):
    ids, rows, _ = january
    assert len({row["customer_id"] for row in rows}) == len(rows) == 125
    assert ids["visitor"] == 0
    assert sorted(ids.values()) == [0, 1, 2, 3, 4]  # visitors, and four planted groups in four segments


def test_names_match_the_customers(january):
    ids, _, profile = january
    assert profile[0]["name"] == "No completed order"
    assert profile[ids["champions"]]["name"] == "Champions"
    assert profile[ids["lost_small"]]["name"] == "Lost small buyers"
    assert profile[ids["occasional"]]["name"] == "Recent and occasional"
    # The median of 61 days is within the horizon of 91 days: nobody is slipping away.
    assert profile[ids["fading"]]["name"] == "Buyers with few orders"


def test_profiles_sum_to_all_customers_and_revenue(january):
    ids, _, profile = january
    assert sum(row["num_customers"] for row in profile.values()) == 125
    assert sum(row["customer_fraction"] for row in profile.values()) == pytest.approx(1)
    assert sum(row["revenue_fraction"] for row in profile.values()) == pytest.approx(1)
    champions = profile[ids["champions"]]
    assert champions["customer_fraction"] == 0.24  # 30 / 125
    assert champions["revenue_fraction"] == pytest.approx(0.9674, abs=1e-4)  # 4000 / (4000 + 20 + 15 + 100)
    assert (champions["median_recency_days"], champions["median_num_orders"]) == (4.0, 40.0)  # of 3, 4, 5; of 40, 41


def test_ids_are_independent_of_the_row_order(january, context):
    _, rows, profile = january
    again = context("3", AS_OF)
    put(again.tables, FEATURE_CUSTOMER, customers(JANUARY, AS_OF)[::-1], num_partitions=7)
    stage.run(again)
    places = {row["customer_id"]: (row["segment_id"], row["map_x"], row["map_y"]) for row in rows}
    by_customer = {
        row["customer_id"]: (row["segment_id"], row["map_x"], row["map_y"]) for row in groups_by_id(again)[1]
    }
    assert {k: v[0] for k, v in by_customer.items()} == {k: v[0] for k, v in places.items()}
    assert all(by_customer[k][1:] == pytest.approx(v[1:], abs=1e-9) for k, v in places.items())
    assert names(again) == {segment_id: row["name"] for segment_id, row in profile.items()}


def test_continued_segments_keep_id_and_name(january, february):
    (before, _, profile), (after, now) = january, february
    for group in ("champions", "occasional", "lost_small", "visitor"):
        assert after[group] == before[group]
        assert now[after[group]] == profile[before[group]]["name"]


def test_new_segment_gets_a_new_id_and_a_matching_name(february):
    after, now = february
    assert after["lost_good"] == 5  # ids 1 to 4 are used
    assert now[5] == "Lost good customers"


def test_too_few_buyers_are_skipped(spark, tmp_path):
    ctx = lake_context(spark, tmp_path)
    put(ctx.tables, FEATURE_CUSTOMER, customers({"champions": JANUARY["champions"]}, AS_OF))
    result = stage.run(ctx)
    assert (result.status, result.note) == (
        "skipped",
        "needs at least 50 customers with completed orders; there are 30",
    )
    assert not ctx.tables.exists(SEGMENT)


def alike(**changes):
    return [
        {"customer_id": f"c{i:02d}", "as_of": AS_OF, "recency_days": 9, "num_orders": 1, "monetary": 5.0}
        | {name: value(i) for name, value in changes.items()}
        for i in range(60)
    ]


def test_customers_who_are_all_alike_are_skipped(spark, tmp_path):
    ctx = lake_context(spark, tmp_path)
    put(ctx.tables, FEATURE_CUSTOMER, alike())
    result = stage.run(ctx)
    assert (result.status, result.note) == (
        "skipped",
        "needs customers who differ in recency, number of orders or revenue; all 60 are alike",
    )


def test_unknown_revenue_is_not_zero_and_gives_no_value_words(spark, tmp_path):
    ctx = lake_context(spark, tmp_path, "segment.max_k=4")
    put(ctx.tables, FEATURE_CUSTOMER, alike(monetary=lambda i: None, recency_days=lambda i: 9 + 200 * (i % 2)))
    stage.run(ctx)
    rows = profiles(ctx).values()
    # Two kinds of customers make two segments; nobody bought twice, and no amount is known.
    assert sorted((r["name"], r["median_recency_days"]) for r in rows) == [
        ("Recent buyers", 9.0),
        ("Slipping away", 209.0),
    ]
    assert {(r["median_monetary"], r["revenue_fraction"]) for r in rows} == {(None, None)}
