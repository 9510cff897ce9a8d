"""Policy: action order, consent, hold-out."""

import pytest
from pyspark.sql import functions as F

from crm_spark.core.config import validated
from crm_spark.stages.decide.config import FACTS, Strategy
from crm_spark.stages.decide.policy import decide, holds

TYPES = {"number": "double", "text": "string", "boolean": "boolean"}
SCHEMA = "customer_id string, has_marketing_consent boolean, is_predictable boolean, " + ", ".join(
    f"{n} {TYPES[t]}" for n, t in FACTS.items()
)


def facts(spark, *rows):
    names = [column.split()[0] for column in SCHEMA.split(", ")]
    return spark.createDataFrame([tuple(row.get(name) for name in names) for row in rows], SCHEMA)


def strategy(**change):
    actions = [
        {
            "name": "call",
            "title": "Call",
            "reason": "unhappy",
            "when": [
                {"fact": "last_satisfaction", "at_most": -1},
                {"fact": "value_band", "is_one_of": ["high", "medium"]},
            ],
        },
        {"name": "mail", "title": "Mail", "reason": "late", "when": [{"fact": "lateness", "at_least": 1.5}]},
        {
            "name": "flag",
            "title": "Flag for the desk",
            "reason": "at_risk",
            "is_contact": False,
            "when": [{"fact": "churn_risk", "is": "high"}],
        },
    ]
    return validated(Strategy, {"holdout_fraction": 0, "actions": actions, **change}, origin="test")


def chosen(frame, rules):
    rows = decide(frame, rules, seed=11).collect()
    actions = {row["customer_id"]: (row["action"], row["reason"]) for row in rows}
    assert len(actions) == len(rows)
    return actions


UNHAPPY = {"last_satisfaction": -1.0, "value_band": "high"}
EVERYONE = (
    {"customer_id": "fits_all", **UNHAPPY, "lateness": 2.0, "churn_risk": "high"},
    {"customer_id": "half_of_the_first", **UNHAPPY, "value_band": "low", "lateness": 1.5},
    {"customer_id": "only_the_last", "lateness": 1.49, "churn_risk": "high"},
    {"customer_id": "fits_none", "last_satisfaction": 1.0, "lateness": 0.0, "churn_risk": "low"},
    {"customer_id": "low_value", "value_band": "low", "lateness": 0.0, "churn_risk": "low"},
    {"customer_id": "open", "last_satisfaction": -1.0, "lateness": 0.0, "churn_risk": "low"},
    {"customer_id": "one_order", "num_orders": 1.0, "is_predictable": True, "value_band": "low", "churn_risk": "low"},
    {"customer_id": "no_order", "num_orders": 0.0, "is_predictable": False},
    {"customer_id": "unknown"},
    {"customer_id": "rejected", **UNHAPPY, "has_marketing_consent": False},
    {"customer_id": "refused_no_contact", "churn_risk": "high", "has_marketing_consent": False},
    {"customer_id": "agreed", **UNHAPPY, "has_marketing_consent": True},
)


@pytest.fixture(scope="module")
def actions(spark):
    return chosen(facts(spark, *EVERYONE), strategy())


def test_every_customer_gets_one_action(actions):
    assert set(actions) == {row["customer_id"] for row in EVERYONE} and len(actions) == 12


def test_first_matching_action_is_chosen(actions):
    assert actions["fits_all"] == ("call", "unhappy")
    assert actions["half_of_the_first"] == ("mail", "late")  # all conditions must hold; 1.5 is at least 1.5
    assert actions["only_the_last"] == ("flag", "at_risk")
    assert actions["fits_none"] == ("none", "no_rule_applies")


def test_no_action_needed_differs_from_not_known(actions):
    assert actions["low_value"] == ("none", "no_rule_applies")  # whatever the satisfaction, the value is low
    assert actions["open"] == ("none", "not_known")  # a call, if the unknown value is high
    assert actions["unknown"] == ("none", "not_known")


def test_facts_that_do_not_exist_are_not_unknown(actions):
    assert actions["one_order"] == ("none", "no_rule_applies")  # lateness needs two orders
    assert actions["no_order"] == ("none", "no_rule_applies")  # value and churn risk need one


def test_condition_on_an_unknown_fact_does_not_hold(spark, actions):
    conditions = [
        {"fact": "recency_days", "at_least": -1e9},
        {"fact": "recency_days", "at_most": 1e9},
        {"fact": "segment", "is_one_of": ["Champions"]},
        {"fact": "has_recommendation", "is": False},
    ]
    rules = strategy(actions=[{"name": "any", "title": "Any", "reason": "any", "when": conditions}])
    columns = [holds(condition).alias(str(i)) for i, condition in enumerate(rules.actions[0].when)]
    assert list(facts(spark, {"customer_id": "a"}).select(*columns).first()) == [False] * 4


def test_refused_consent_suppresses_contact_actions(actions):
    assert actions["rejected"] == ("none", "no_consent")
    assert actions["refused_no_contact"] == ("flag", "at_risk")
    assert actions["agreed"] == ("call", "unhappy")


def test_unknown_consent_suppresses_contact_if_consent_must_be_given(spark):
    actions = chosen(facts(spark, *EVERYONE), strategy(require_consent="given"))
    assert actions["fits_all"] == ("none", "consent_unknown")
    assert actions["rejected"] == ("none", "no_consent")
    assert actions["agreed"] == ("call", "unhappy")


def test_action_without_conditions_matches_everyone(spark):
    rest = {"name": "rest", "title": "Rest", "reason": "else", "when": []}
    assert chosen(facts(spark, {"customer_id": "a"}), strategy(actions=[rest])) == {"a": ("rest", "else")}


def test_priority_is_expected_revenue_at_risk(spark):
    frame = facts(
        spark,
        {"customer_id": "a", "churn_probability": 0.25, "expected_revenue": 120.5},
        {"customer_id": "b", "expected_revenue": 10.0},
    )
    priorities = {row["customer_id"]: row["priority"] for row in decide(frame, strategy(), seed=11).collect()}
    assert priorities == {"a": 30.125, "b": None}  # 0.25 x 120.5; the churn risk of b is unknown


@pytest.fixture(scope="module")
def crowd(spark):
    """4,000 customers who match the same action, and 1,000 who match none."""
    customers = facts(spark, {}).drop("customer_id", "lateness").crossJoin(spark.range(5000))
    lateness = F.when(F.col("id") < 4000, 2.0).otherwise(0.0)
    return customers.select(
        F.concat(F.lit("c"), F.col("id")).alias("customer_id"), lateness.alias("lateness"), "*"
    ).drop("id")


def holdout_of(frame, *, seed):
    rows = decide(frame, strategy(holdout_fraction=0.1), seed=seed).collect()
    assert {row["action"] for row in rows if row["is_holdout"]} == {"mail"}  # no hold-out without an action
    return {row["customer_id"] for row in rows if row["is_holdout"]}


def test_holdout_has_the_configured_size_and_is_independent_of_partitioning(crowd):
    first = holdout_of(crowd, seed=11)
    assert abs(len(first) / 4000 - 0.1) < 0.0142  # three standard deviations: 3 x sqrt(0.1 x 0.9 / 4000)
    assert holdout_of(crowd.repartition(7, "lateness"), seed=11) == first
    assert holdout_of(crowd, seed=12) != first
