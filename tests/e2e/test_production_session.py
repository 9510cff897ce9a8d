"""Adaptive execution and code generation, off in most tests for speed, change no result."""

from dataclasses import replace

import pytest
from support.company import lay_out
from support.lake import lake_context
from support.refreshed import digests

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import FINDING, QUARANTINE, RECONCILIATION
from crm_spark.contracts.silver import ENTITIES, HISTORY
from crm_spark.settings import load_settings
from crm_spark.stages.clean import stage as clean
from crm_spark.stages.ingest import stage as ingest
from crm_spark.stages.resolve import stage as resolve

TABLES = (
    bronze("orders"),
    bronze("reviews"),
    *ENTITIES.values(),
    *HISTORY.values(),
    QUARANTINE,
    FINDING,
    RECONCILIATION,
)


@pytest.fixture
def production(spark):
    """The session settings of production; those of the other tests are restored."""
    settings = {
        "spark.sql.adaptive.enabled": "true",
        "spark.sql.codegen.wholeStage": "true",
        "spark.sql.codegen.factoryMode": "FALLBACK",
    }
    before = {key: spark.conf.get(key, None) for key in settings}
    for key, value in settings.items():
        spark.conf.set(key, value)
    yield spark
    for key, value in before.items():
        spark.conf.unset(key) if value is None else spark.conf.set(key, value)


@pytest.mark.slow
def test_ingest_clean_and_resolve_give_the_tables_of_the_test_session(production, cleaned_company, tmp_path):
    ctx = lake_context(production, tmp_path / "lake", fingerprint="1" * 64)
    ctx = replace(ctx, settings=load_settings(lay_out(tmp_path), []))
    assert ingest.run(ctx).num_rows == 16
    clean.run(ctx)
    made = digests(ctx.tables, TABLES)
    other = lake_context(production, cleaned_company / "lake")
    assert made == digests(other.tables, TABLES)
    assert len(made) >= 8
    assert resolve.run(ctx).num_rows == 3  # K1, K2, K3
