"""Assignment of sources to systems based on id overlaps."""

import pytest

from crm_spark.onboarding.id_overlap import IdColumn, Overlap
from crm_spark.onboarding.id_systems import is_same_system, systems_of


def ids(source, num_ids, min_id=None, max_id=None, kind="person_id"):
    return IdColumn(source, kind, "Kunde", num_ids, min_id, max_id)


def overlap(small, large, num_shared, emails=0, same=0):
    return Overlap(small, large, num_shared, emails, same)


ORDERS, CUSTOMERS, DESK = ids("orders", 100), ids("customers", 500), ids("desk", 80)


@pytest.mark.parametrize(
    ("id_overlap", "expected"),
    [
        (overlap(ORDERS, CUSTOMERS, 98), True),
        (overlap(ORDERS, CUSTOMERS, 49), False),
        # Spread over the whole range of the other source: references to it.
        (overlap(ids("a", 300, 3, 1990), ids("b", 2000, 1, 2000), 300), True),
        # 1 to 300 and 1 to 2000: independent counters look like this.
        (overlap(ids("a", 300, 1, 300), ids("b", 2000, 1, 2000), 300), None),
        # The latest ids of the other source.
        (overlap(ids("a", 300, 1701, 2000), ids("b", 2000, 1, 2000), 300), True),
        # Almost the same range.
        (overlap(ids("a", 1950, 1, 1990), ids("b", 2000, 1, 2000), 1950), True),
        # Same ids with different and with equal e-mails.
        (overlap(ids("a", 300, 1, 300), ids("b", 2000, 1, 2000), 300, emails=200, same=3), False),
        (overlap(ids("a", 300, 1, 300), ids("b", 2000, 1, 2000), 300, emails=200, same=190), True),
        (overlap(ids("a", 3), ids("b", 9), 3), True),
        (overlap(ids("a", 8), ids("b", 9), 4), False),
    ],
)
def test_is_same_system_unless_independent_counters_explain_the_overlap(id_overlap, expected):
    assert is_same_system(id_overlap) is expected


def test_density_is_at_most_one_if_ids_differ_only_in_leading_zeros():
    assert ids("a", 4, 7, 8).density == 1.0  # 7, 007, 8, 008
    assert (ids("a", 2, 7, 10).density, ids("a", 2).density) == (0.5, 0.0)


def test_sources_with_shared_ids_get_one_system_with_evidence():
    lines = ids("lines", 900, kind="order_id")
    systems = systems_of(
        {"customers": ["shop"], "desk": [], "lines": ["shop"], "orders": ["shop"]},
        [
            overlap(ORDERS, CUSTOMERS, 98),
            overlap(ids("orders", 890, kind="order_id"), lines, 890),
            overlap(DESK, CUSTOMERS, 1),
        ],
    )
    assert systems.of == {"customers": "shop", "lines": "shop", "orders": "shop", "desk": "desk"}
    assert systems.evidence["orders"] == [
        "Kunde: 100 % of its 890 values are in lines's Kunde",
        "Kunde: 98 % of its 100 values are in customers's Kunde",
    ]
    assert systems.evidence["desk"] == [] and systems.doubts["desk"] == []


def test_ambiguous_overlap_keeps_systems_separate_and_is_reported():
    systems = systems_of({"a": [], "b": []}, [overlap(ids("a", 300, 1, 300), ids("b", 2000, 1, 2000), 300)])
    assert systems.of == {"a": "a", "b": "b"}
    assert systems.doubts["a"] == [
        "Kunde: 100 % of its 300 values are in b's Kunde, but independent counters that start at one also overlap"
    ]


def test_contradicting_emails_keep_systems_separate_even_via_a_third_source():
    products = [ids(name, 50, kind="product_id") for name in ("a", "b", "c")]
    systems = systems_of(
        {"a": [], "b": [], "c": []},
        [
            overlap(ids("a", 300), ids("b", 400), 250, emails=200, same=2),
            overlap(products[0], products[2], 50),
            overlap(products[1], products[2], 50),
        ],
    )
    assert systems.of["a"] != systems.of["b"] and systems.of["c"] in (systems.of["a"], systems.of["b"])
    assert [text for text in systems.evidence["a"] if "e-mails of shared ids differ" in text]


def test_system_name_is_the_common_folder_or_first_word():
    pair = [overlap(ids("shop_a", 10), ids("shop_b", 10), 10)]
    assert set(systems_of({"shop_a": [], "shop_b": []}, pair).of.values()) == {"shop"}
    assert set(systems_of({"shop_a": ["erp"], "shop_b": ["erp"]}, pair).of.values()) == {"erp"}
    assert systems_of({"shop_a": ["erp"], "shop_b": ["erp"]}, []).of == {"shop_a": "erp", "shop_b": "shop"}
