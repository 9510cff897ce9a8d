"""A strategy that cannot be carried out is refused."""

import pytest

from crm_spark.core.config import validated
from crm_spark.core.errors import ConfigError
from crm_spark.stages.decide.config import Strategy


def blocked(*actions):
    with pytest.raises(ConfigError) as caught:
        validated(Strategy, {"actions": list(actions)}, origin="s.yaml")
    return str(caught.value)


def action(**change):
    return {"name": "call", "title": "Call", "reason": "because", "when": [], **change}


def test_a_fact_nobody_knows_is_refused():
    assert "no such fact shoe_size" in blocked(action(when=[{"fact": "shoe_size", "at_least": 1}]))


def test_a_comparison_that_does_not_fit_the_fact_is_refused():
    assert "value_band: give exactly one of is, is_one_of" in blocked(
        action(when=[{"fact": "value_band", "at_least": 1}])
    )


def test_two_actions_of_one_name_are_refused():
    assert "names stand more than once: call" in blocked(action(), action())
