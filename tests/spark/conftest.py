"""The tests of single stages run thousands of short plans: compiling each of them would take longer than running it."""

import pytest
from support.lake import cleaned_company


@pytest.fixture(scope="module", autouse=True)
def plans_are_interpreted(spark):
    """Whole runs (e2e, browser, faults) keep Spark's code generation, as a cluster does."""
    settings = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
    for name, value in settings.items():
        spark.conf.set(name, value)
    yield
    for name in settings:
        spark.conf.unset(name)


@pytest.fixture
def company(spark, tmp_path):
    """Writes sources and files, runs ingest and clean, and returns the context."""
    return lambda *arguments, **named: cleaned_company(spark, tmp_path, *arguments, **named)
