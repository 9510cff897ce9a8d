"""The generator without Spark: hash, invariants and example texts."""

import numpy as np
import pytest

from crm_spark.core.config import validated
from crm_spark.core.errors import ConfigError
from crm_spark.world.behaviour import order_lines, orders
from crm_spark.world.dirt import with_faults
from crm_spark.world.draws import Draws, mix
from crm_spark.world.identities import crm_contacts, shop_accounts
from crm_spark.world.interactions import shop_reviews
from crm_spark.world.people import people, scattered
from crm_spark.world.plan import drop_days, drop_on, plan
from crm_spark.world.spec import WorldSpec
from crm_spark.world.texts import MEANINGS, compose

SPEC = WorldSpec(customers=2000, history_days=200, days=3)


def test_mix_is_splitmix64():
    # First outputs of the reference generator seeded with 0 and 1.
    assert [hex(int(mix(np.array(v, dtype=np.uint64)))) for v in (0, 1)] == ["0xe220a8397b1dcdaf", "0x910a2dec89025cc1"]


def test_draws_depend_only_on_seed_stream_and_key():
    one, two = Draws(1), Draws(2)
    assert one.uniform("a", np.arange(5), 3)[4] == one.uniform("a", 4, 3)
    assert one.uniform("a", 4) != two.uniform("a", 4)
    assert one.uniform("a", 4) != one.uniform("b", 4)


def test_uniform_draws_are_uniform():
    drawn = Draws(3).uniform("even", np.arange(100_000))
    assert abs(drawn.mean() - 0.5) < 0.005 and drawn.min() >= 0 and drawn.max() < 1


def test_scattered_numbers_are_unique():
    assert len(np.unique(scattered(np.arange(200_000), 1))) == 200_000


def test_single_days_equal_the_days_of_a_long_run():
    crowd = people(SPEC, 0)
    whole = orders(SPEC, crowd, range(60))
    parts = [orders(SPEC, crowd, range(day, day + 1)) for day in range(60)]
    assert np.array_equal(whole.who, np.concatenate([p.who for p in parts]))
    assert np.array_equal(whole.day, np.concatenate([p.day for p in parts]))


def test_block_does_not_depend_on_the_number_of_customers():
    small, large = (
        people(SPEC.model_copy(update={"block": 500}), 1),
        people(SPEC.model_copy(update={"block": 500, "customers": 9000}), 1),
    )
    assert np.array_equal(small.leave_day, large.leave_day) and np.array_equal(small.number, np.arange(500, 1000))


def test_lines_belong_to_orders_and_have_positive_amounts():
    crowd = people(SPEC, 0)
    placed = orders(SPEC, crowd, range(100))
    lines = order_lines(SPEC, crowd, placed)
    assert set(lines.order) == set(range(len(placed.who)))
    assert lines.quantity.min() >= 1 and lines.price_cents.min() >= 99


def test_spend_is_heavy_tailed():
    crowd = people(WorldSpec(customers=20_000), 0)
    placed = orders(WorldSpec(customers=20_000), crowd, range(365))
    per_customer = np.sort(np.bincount(placed.who, minlength=len(crowd.number)))[::-1]
    assert 0.35 < per_customer[: len(per_customer) // 10].sum() / per_customer.sum() < 0.7


def test_configured_fraction_of_crm_records_are_duplicates():
    contacts = crm_contacts(WorldSpec(customers=10_000), people(WorldSpec(customers=10_000), 0), range(900))
    num_duplicates = sum(1 for key in contacts.keys if key >= 20_000_000)
    assert abs(num_duplicates / len(contacts.rows) - 0.15) < 0.015


def test_configured_fraction_of_records_has_a_fault():
    accounts = shop_accounts(WorldSpec(customers=20_000), people(WorldSpec(customers=20_000), 0), range(540))
    records, planted = with_faults(WorldSpec(customers=20_000), accounts)
    assert abs(len(planted) / len(accounts.rows) - 0.02) < 0.004
    for number, reason in planted:
        if reason == "exact_duplicate":
            assert records[number].row == records[number - 1].row
        elif reason == "missing_required":
            assert records[number].row["customer_no"] == ""
        elif reason == "malformed_record":
            assert records[number].raw is not None
    assert len(records) == len(accounts.rows) + sum(1 for _, reason in planted if reason == "exact_duplicate")


@pytest.mark.parametrize("meaning", MEANINGS)
def test_compose_is_deterministic(meaning):
    one, two = (
        compose(meaning, "en", 12345678901234567, is_long=True),
        compose(meaning, "en", 12345678901234567, is_long=True),
    )
    assert one == two and one.meaning == meaning and "{" not in one.body


def test_few_texts_are_identical():
    texts = [
        t["body"]
        for t in shop_reviews(WorldSpec(customers=20_000), people(WorldSpec(customers=20_000), 0), range(300))[0].rows
    ]
    assert len(texts) > 3000 and 1 - len(set(texts)) / len(texts) < 0.05


def test_ratings_mostly_agree_with_the_meaning_of_the_text():
    spec = WorldSpec(customers=20_000)
    file, truth = shop_reviews(spec, people(spec, 0), range(300))
    scale = {
        "1": "does_not_recommend",
        "2": "does_not_recommend",
        "3": "no_clear_opinion",
        "4": "recommends",
        "5": "recommends",
    }
    agree = sum(scale[row["stars"]] == true["meaning"] for row, true in zip(file.rows, truth)) / len(truth)
    assert 0.92 < agree < 0.99


def test_plan_has_one_history_delivery_and_daily_deliveries():
    assert drop_days(SPEC, 0) == range(200) and drop_days(SPEC, 2) == range(201, 202)
    assert str(drop_on(SPEC, 0)) == "2024-07-19"  # 2024-01-01 and 200 days
    assert len(plan(SPEC)) == 4 and len(plan(SPEC.model_copy(update={"from_day": 2}))) == 2


def test_invalid_specification_is_rejected():
    with pytest.raises(ConfigError, match="customers: input should be greater than or equal to 1000, got 10"):
        validated(WorldSpec, {"customers": 10}, origin="world.yaml")
