"""The tests of single stages run thousands of short plans: compiling each of them would take longer than running it."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def plans_are_interpreted(spark):
    """Whole runs (e2e, browser, faults) keep Spark's code generation, as a cluster does."""
    settings = {"spark.sql.codegen.wholeStage": "false", "spark.sql.codegen.factoryMode": "NO_CODEGEN"}
    for name, value in settings.items():
        spark.conf.set(name, value)
    yield
    for name in settings:
        spark.conf.unset(name)


@pytest.fixture(scope="session")
def cleaned_company(spark, tmp_path_factory):
    """Directory of the hand-made company with its lake after ingest and clean; tests that change it copy it."""
    from dataclasses import replace

    from support.company import lay_out
    from support.lake import lake_context

    from crm_spark.settings import load_settings
    from crm_spark.stages.clean import stage as clean
    from crm_spark.stages.ingest import stage as ingest

    root = tmp_path_factory.mktemp("cleaned")
    ctx = lake_context(spark, root / "lake", fingerprint="1" * 64)
    ctx = replace(ctx, settings=load_settings(lay_out(root), []))
    ingest.run(ctx)
    clean.run(ctx)
    return root
