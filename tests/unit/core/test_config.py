"""Configuration that is wrong says where and what is allowed."""

import pytest

from crm_spark.core.config import merged, parse_overrides, read_layered, validated
from crm_spark.core.errors import ConfigError, ExitCode
from crm_spark.settings import Settings

MINIMAL = {"ingest": {"sources_dir": "x"}}


def blocked(content):
    with pytest.raises(ConfigError) as caught:
        validated(Settings, content, origin="conf/mine.yaml")
    return str(caught.value)


def test_unknown_key_error_names_file_key_and_the_closest_known_key():
    message = blocked({**MINIMAL, "company": {"horizon_day": 91}})
    assert message == "conf/mine.yaml: company.horizon_day: unknown key; did you mean 'horizon_days'?"


def test_unknown_section_error_names_the_closest_known_section():
    assert "segmnt: unknown key; did you mean 'segment'?" in blocked({**MINIMAL, "segmnt": {}})


def test_wrong_type_error_contains_the_value():
    message = blocked({**MINIMAL, "company": {"horizon_days": "soon"}})
    assert message.startswith("conf/mine.yaml: company.horizon_days:") and message.endswith("got 'soon'")


def test_out_of_range_error_contains_the_bounds():
    assert "greater than or equal to 7, got 3" in blocked({**MINIMAL, "company": {"horizon_days": 3}})


def test_contradictory_thresholds_are_rejected():
    assert "expected medium_risk < high_risk" in blocked({**MINIMAL, "predict": {"medium_risk": 0.8, "high_risk": 0.6}})


def test_missing_value_without_default_is_named():
    assert "ingest: missing" in blocked({})


def test_configuration_errors_end_with_exit_code_2():
    assert ConfigError("x").exit_code == ExitCode.BAD_INPUT == 2


def test_overlay_overrides_the_extended_file_and_paths_are_relative_to_their_file(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "base.yaml").write_text(
        "seed: 1\ncompany: {name: A, currency: EUR}\ningest: {sources_dir: ./sources}\n"
    )
    (tmp_path / "deep" / "mine.yaml").write_text("extends: ../base.yaml\ncompany: {name: B}\n")
    assert read_layered(tmp_path / "deep" / "mine.yaml") == {
        "seed": 1,
        "company": {"name": "B", "currency": "EUR"},
        "ingest": {"sources_dir": str(tmp_path / "sources")},
    }


def test_overrides_are_typed_as_yaml():
    assert parse_overrides(["a.b=3", "a.c=[1, 2]", "d=x=y"]) == {"a": {"b": 3, "c": [1, 2]}, "d": "x=y"}


def test_override_without_a_value_is_rejected():
    with pytest.raises(ConfigError, match=r"--set company: expected section\.key=value"):
        parse_overrides(["company"])


def test_merge_replaces_lists_completely():
    assert merged({"a": [1, 2], "b": {"c": 1}}, {"a": [3], "b": {"d": 2}}) == {"a": [3], "b": {"c": 1, "d": 2}}


def test_yaml_tags_are_never_executed(tmp_path):
    path = tmp_path / "evil.yaml"
    path.write_text("seed: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_layered(path)
