"""A lake that older code wrote is upgraded by the next run, and new deliveries are added to it."""

import pytest
from support.old_lake import unpack

from crm_spark.contracts.ops import RECONCILIATION
from crm_spark.contracts.silver import ORDER, ORDER_LINE
from crm_spark.pipeline import STAGES, Pipeline


@pytest.mark.slow
def test_the_next_delivery_is_cleaned_into_the_upgraded_lake(spark, tmp_path):
    old = unpack(tmp_path)
    old.deliver_next()
    pipeline = Pipeline(old.settings(), lake=str(old.lake))
    results = pipeline.run(("ingest", "clean"))
    assert {name: result.status for name, result in results.items()} == {"ingest": "done", "clean": "done"}
    orders = pipeline.tables.read(ORDER)
    assert orders.where("ordered_at >= '2025-02-25'").count() > 0, "orders of the new delivery"
    assert orders.where("ordered_at < '2024-12-01'").count() > 100, "orders from before the upgrade"
    rows = pipeline.tables.read(RECONCILIATION).collect()
    assert all(r["num_in"] == r["num_accepted"] + r["num_quarantined"] + r["num_duplicate"] for r in rows)
    assert pipeline.tables.read(ORDER_LINE).where("updated_at IS NULL AND record_hash IS NULL").count() == 0
    again = Pipeline(old.settings(), lake=str(old.lake)).run(("ingest", "clean"))
    assert {result.status for result in again.values()} == {"up_to_date"}


@pytest.mark.slow
def test_upgraded_lake_is_refreshed_completely(spark, tmp_path):
    old = unpack(tmp_path)
    old.deliver_next()
    pipeline = Pipeline(old.settings(), lake=str(old.lake))
    results = pipeline.run()
    assert list(results) == list(STAGES)
    assert {result.status for result in results.values()} <= {"done", "skipped"}
    assert results["report"].status == results["decide"].status == results["score"].status == "done"
    assert (old.lake / "files" / "report.html").exists()
    assert {result.status for result in Pipeline(old.settings(), lake=str(old.lake)).run().values()} == {"up_to_date"}
