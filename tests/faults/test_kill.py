"""SIGKILL in the middle of a refresh: the next one ends with the tables of a run that nothing disturbed."""

from pathlib import Path

import pytest
from support.company import SECOND, deliver, lay_out
from support.crash_testing import as_arguments, content, finish, has_files, kill_when, start
from support.refreshed import FAST, ROOT, generate_company, settings_for


@pytest.fixture(scope="module")
def undisturbed(spark, tmp_path_factory):
    root = tmp_path_factory.mktemp("undisturbed")
    conf = lay_out(root, second=True)
    finish(conf, root / "lake")
    return content(spark, root / "lake", root / "sources")


@pytest.mark.slow
def test_kills_in_three_consecutive_stages_do_not_change_the_tables(spark, tmp_path, undisturbed):
    conf, lake = lay_out(tmp_path, second=True), tmp_path / "lake"
    for appears in ("ops/delivery", "silver/order_line", "gold/customer_link"):
        process = start("refresh", "--conf", conf, "--lake", lake)
        assert kill_when(process, has_files(lake / appears)), f"the run ended before {appears} appeared"
    finish(conf, lake)
    assert content(spark, lake, tmp_path / "sources") == undisturbed


@pytest.mark.slow
@pytest.mark.parametrize(
    "appears", ["bronze/orders", "silver/feedback", "ops/quarantine", "ops/reconciliation", "gold/customer"]
)
def test_kill_after_a_table_is_created_does_not_change_the_tables(spark, tmp_path, undisturbed, appears):
    conf, lake = lay_out(tmp_path, second=True), tmp_path / "lake"
    assert kill_when(start("refresh", "--conf", conf, "--lake", lake), has_files(lake / appears))
    finish(conf, lake)
    assert content(spark, lake, tmp_path / "sources") == undisturbed


@pytest.mark.slow
def test_digests_detect_a_lost_row(spark, tmp_path, undisturbed):
    """The negative control: a company with one line less has other tables."""
    conf = lay_out(tmp_path)
    deliver(tmp_path, "2", SECOND[1:], [])
    finish(conf, tmp_path / "lake")
    other = content(spark, tmp_path / "lake", tmp_path / "sources")
    assert other["silver.order_line"] != undisturbed["silver.order_line"]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_kills_in_six_stages_of_a_generated_company_do_not_change_the_tables(spark, tmp_path):
    """Killed in ingest, clean, resolve, featurise, predict and train, one after the other; the last run ends with equal tables."""
    company = tmp_path / "company"
    generate_company(spark, company)
    conf, overrides = ROOT / "conf" / "demo.yaml", [f"ingest.data_dir={company / 'drops'}", *FAST]
    finish(conf, tmp_path / "whole", overrides)
    lake = tmp_path / "killed"
    for folder in (
        "bronze/web_events",
        "silver/person",
        "gold/customer_link",
        "features/customer",
        "scores/churn",
        "files/training",
    ):
        process = start("refresh", "--conf", conf, "--lake", lake, *as_arguments(overrides))
        appeared = (lake / folder).exists if folder == "files/training" else has_files(lake / folder)
        assert kill_when(process, appeared), f"the run ended before {folder} appeared"
    finish(conf, lake, overrides)
    sources = Path(settings_for(company).ingest.sources_dir)
    assert content(spark, lake, sources) == content(spark, tmp_path / "whole", sources)
