"""Validation of quality rules."""

import pytest

from crm_spark.core.config import validated
from crm_spark.core.errors import ConfigError
from crm_spark.quality.rules import QualityRules

RULE = {
    "code": "too_low",
    "entity": "order_line",
    "column": "quantity",
    "check": "greater_than",
    "params": {"bound": 0},
}


def error_of(**change):
    with pytest.raises(ConfigError) as caught:
        validated(QualityRules, {"rules": [{**RULE, **change}]}, origin="q.yaml")
    return str(caught.value)


def test_unknown_check_is_rejected():
    assert "unknown check java_method" in error_of(check="java_method")


def test_unknown_column_is_rejected():
    assert "order_line has no column colour" in error_of(column="colour")


@pytest.mark.parametrize(
    "code", ["Too Low", "x; drop table", "`a`", "(select 1)", "a'b", "reflect('java.lang.Runtime')"]
)
def test_reason_code_must_be_an_identifier(code):
    assert "code" in error_of(code=code)


PATTERN = {"column": "line_id", "check": "matches"}


@pytest.mark.parametrize("pattern", [r"^\p{L}+$", r"^\P{Lu}", r"^(?<shop>[a-z]+)-\d+$"])
def test_pattern_has_the_syntax_of_java(pattern):
    rules = validated(QualityRules, {"rules": [{**RULE, **PATTERN, "params": {"pattern": pattern}}]}, origin="q")
    assert rules.rules[0].params == {"pattern": pattern}


def test_invalid_pattern_is_rejected():
    assert "matches: params.pattern: not a regular expression" in error_of(**PATTERN, params={"pattern": "(a"})


def test_version_changes_if_a_rule_changes():
    one = validated(QualityRules, {"rules": [RULE]}, origin="q")
    two = validated(QualityRules, {"rules": [{**RULE, "params": {"bound": 1}}]}, origin="q")
    assert one.version != two.version and len(one.version) == 16
