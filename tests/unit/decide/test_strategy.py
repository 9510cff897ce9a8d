"""Validation of the strategy file."""

import pytest

from crm_spark.core.config import validated
from crm_spark.core.errors import ConfigError
from crm_spark.stages.decide.config import Strategy


def error_of(*actions):
    with pytest.raises(ConfigError) as caught:
        validated(Strategy, {"actions": list(actions)}, origin="s.yaml")
    return str(caught.value)


def action(**change):
    return {"name": "call", "title": "Call", "reason": "because", "when": [], **change}


def test_unknown_fact_is_rejected():
    assert "unknown fact shoe_size" in error_of(action(when=[{"fact": "shoe_size", "at_least": 1}]))


def test_comparison_must_match_the_type_of_the_fact():
    assert "value_band: give exactly one of is, is_one_of" in error_of(
        action(when=[{"fact": "value_band", "at_least": 1}])
    )


def test_duplicate_action_names_are_rejected():
    assert "duplicate names: call" in error_of(action(), action())
