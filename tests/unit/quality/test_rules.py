"""Rules are typed data; nothing that looks like code gets through."""

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


def blocked(**change):
    with pytest.raises(ConfigError) as caught:
        validated(QualityRules, {"rules": [{**RULE, **change}]}, origin="q.yaml")
    return str(caught.value)


def test_a_check_that_does_not_exist_is_refused():
    assert "no such check" in blocked(check="java_method")


def test_a_column_the_entity_lacks_is_refused():
    assert "order_line has no column colour" in blocked(column="colour")


@pytest.mark.parametrize(
    "code", ["Too Low", "x; drop table", "`a`", "(select 1)", "a'b", "reflect('java.lang.Runtime')"]
)
def test_a_code_is_a_plain_word(code):
    assert "code" in blocked(code=code)


def test_the_version_changes_with_any_rule():
    one = validated(QualityRules, {"rules": [RULE]}, origin="q")
    two = validated(QualityRules, {"rules": [{**RULE, "params": {"bound": 1}}]}, origin="q")
    assert one.version != two.version and len(one.version) == 16
