"""Configuration values that contain code are rejected."""

import pytest
import yaml

from crm_spark.core.config import read_yaml, validated
from crm_spark.core.errors import ConfigError
from crm_spark.quality.rules import QualityRules
from crm_spark.sources.config import load_source

CODE = [
    "reflect('java.lang.Runtime', 'getRuntime')",
    "java_method('java.lang.System', 'exit', 1)",
    "(SELECT max(email) FROM delta.`/lake/silver/person`)",
    "quantity`) OR (1=1) --",
    "input_file_name()",
    "1; DROP TABLE person",
    "quantity /* and more */ > 0",
    "{{ config.items() }}",
    "${java:runtime}",
    "__import__('os').system('touch /tmp/marker')",
]
RULE = {
    "code": "too_low",
    "entity": "order_line",
    "column": "quantity",
    "check": "greater_than",
    "params": {"bound": 0},
}
EXPECTATION = {"code": "too_few", "entity": "order_line", "measure": "num_rows", "at_least": 1}


RULES = {
    "code": lambda code: {"rules": [{**RULE, "code": code}]},
    "entity": lambda code: {"rules": [{**RULE, "entity": code}]},
    "column": lambda code: {"rules": [{**RULE, "column": code}]},
    "check": lambda code: {"rules": [{**RULE, "check": code}]},
    "bound": lambda code: {"rules": [{**RULE, "params": {"bound": code}}]},
    "unless": lambda code: {"rules": [{**RULE, "unless": code}]},
    "other column": lambda code: {"rules": [{**RULE, "check": "not_before_column", "params": {"other": code}}]},
    "day": lambda code: {"rules": [{**RULE, "check": "not_before", "params": {"day": code}}]},
    "reference": lambda code: {"rules": [{**RULE, "check": "exists_in", "params": {"entity": "order", "key": code}}]},
    "measure": lambda code: {"expectations": [{**EXPECTATION, "measure": code}]},
    "measured column": lambda code: {"expectations": [{**EXPECTATION, "measure": "null_fraction", "column": code}]},
    "tolerated": lambda code: {"tolerated": [code]},
    "placeholders": lambda code: {"placeholders": {code: ["x"]}},
}


@pytest.mark.parametrize("code", CODE)
@pytest.mark.parametrize("place", RULES)
def test_code_in_a_rule_is_rejected(place, code):
    with pytest.raises(ConfigError, match=r"^q\.yaml: "):
        validated(QualityRules, RULES[place](code), origin="q.yaml")


SOURCE = {
    "files": {"path": "*.csv", "format": "csv"},
    "feeds": {"order": {"columns": {"order_id": "No", "ordered_at": "Day", "status": {"value": "completed"}}}},
}
JDBC = {"url": "jdbc:postgresql://db/shop", "table": "orders"}
SOURCES = {
    "system": lambda code: {**SOURCE, "system": code},
    "time zone": lambda code: {**SOURCE, "time_zone": code},
    "currency": lambda code: {**SOURCE, "currency": code},
    "country": lambda code: {**SOURCE, "country": code},
    "entity": lambda code: {**SOURCE, "feeds": {code: SOURCE["feeds"]["order"]}},
    "column": lambda code: {
        **SOURCE,
        "feeds": {"order": {"columns": {**SOURCE["feeds"]["order"]["columns"], code: "x"}}},
    },
    "format": lambda code: {**SOURCE, "files": {"path": "*.csv", "format": code}},
    "encoding": lambda code: {**SOURCE, "files": {"path": "*", "format": "csv", "options": {"encoding": code}}},
    "scale": lambda code: {
        **SOURCE,
        "feeds": {
            "order": {"columns": {**SOURCE["feeds"]["order"]["columns"], "channel": {"from": "x", "scale": code}}}
        },
    },
    "table": lambda code: {"jdbc": {**JDBC, "table": code}},
    "watermark": lambda code: {"jdbc": {**JDBC, "watermark": code}},
    "url": lambda code: {"jdbc": {**JDBC, "url": code}},
}


@pytest.mark.parametrize("code", CODE)
@pytest.mark.parametrize("place", SOURCES)
def test_code_in_a_source_is_rejected(tmp_path, place, code):
    path = tmp_path / "shop.yaml"
    path.write_text(yaml.safe_dump(SOURCES[place](code)))
    with pytest.raises(ConfigError, match=r"shop\.yaml: "):
        load_source(path)


@pytest.mark.parametrize(
    "tag",
    [
        "!!python/object/apply:os.system ['touch /tmp/marker']",
        "!!python/name:os.system",
        "!!python/object/new:subprocess.Popen [['id']]",
        "!!javax.script.ScriptEngineManager []",
        "!include /etc/passwd",
    ],
)
def test_yaml_tags_are_rejected(tmp_path, tag):
    path = tmp_path / "q.yaml"
    path.write_text(f"rules: {tag}\n")
    with pytest.raises(ConfigError, match="is not valid YAML"):
        read_yaml(path)


def test_same_configuration_without_code_is_valid(tmp_path):
    validated(QualityRules, {"rules": [RULE], "expectations": [EXPECTATION]}, origin="q.yaml")
    for name, content in {"files": SOURCE, "tables": {"jdbc": JDBC}}.items():
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(content))
        load_source(tmp_path / f"{name}.yaml")
