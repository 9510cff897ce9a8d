"""The blocking plan: cheap rules first, within the budget, no rule that another makes needless, no hot block."""

from crm_spark.stages.resolve.blocking import CAPS, Counted, choose_rules


def counted(keys, pairs, left_out=0):
    return Counted(keys, (pairs,) * len(CAPS), (left_out,) * len(CAPS))


def test_cheap_rules_come_first_and_the_budget_holds():
    rules = choose_rules(
        [counted((0,), 500, 9), counted((1,), 700, 9), counted((2,), 100, 9)], num_records=100, pairs_per_record=7
    )
    assert [rule.keys for rule in rules] == [(2,), (0,)]
    assert sum(rule.num_pairs for rule in rules) <= 700


def test_a_pair_of_keys_is_needless_where_one_of_them_leaves_nothing_out():
    rules = choose_rules(
        [counted((0,), 50), counted((1,), 60, 9), counted((0, 1), 10), counted((1, 2), 20)], num_records=100
    )
    assert {rule.keys for rule in rules} == {(0,), (1,), (1, 2)}


def test_a_rule_that_everybody_shares_is_not_used():
    rules = choose_rules([counted((0,), 65_000 * 400), counted((1,), 900)], num_records=65_000)
    assert [rule.keys for rule in rules] == [(1,)]


def test_larger_blocks_are_compared_while_they_are_affordable():
    growing = Counted((0,), (100, 300, 90_000), (40_000, 30_000, 0))
    (rule,) = choose_rules([growing], num_records=1_000)
    assert (rule.max_block, rule.num_pairs, rule.num_left_out) == (CAPS[1], 300, 30_000)
