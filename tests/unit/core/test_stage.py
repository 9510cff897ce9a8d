"""A stage's declaration fails when it is wrong, not when the stage is due."""

from types import SimpleNamespace

import pytest

from crm_spark.core.stage import Stage
from crm_spark.pipeline import ON_REQUEST, STAGES, load_stage
from crm_spark.settings import Settings


def run(ctx):
    raise NotImplementedError


def test_misspelt_hook_is_rejected():
    with pytest.raises(TypeError, match="must_rum"):
        Stage("x", run, must_rum=lambda ctx: True)


def test_hook_that_is_not_a_function_is_rejected():
    with pytest.raises(TypeError, match="stage x: inputs: expected a function, got dict"):
        Stage("x", run, inputs={"a": 1})


def test_tables_must_be_contracts():
    with pytest.raises(TypeError, match="stage x: reads: expected table contracts"):
        Stage("x", run, reads=("silver.order",))


@pytest.mark.parametrize("name", [*STAGES, *ON_REQUEST])
def test_every_stage_declares_itself_and_has_a_section(name):
    stage = load_stage(name)
    assert stage.name == name and name in Settings.model_fields
    assert stage.package.startswith("crm_spark.stages.")


@pytest.mark.parametrize("name", ["featurise", "decide"])
def test_stage_without_customers_is_skipped_with_the_same_note(name):
    tables = SimpleNamespace(exists=lambda table: False)
    result = load_stage(name).run(SimpleNamespace(tables=tables))
    assert (result.status, result.note) == ("skipped", "no source contains persons")
