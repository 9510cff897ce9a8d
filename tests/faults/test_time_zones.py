"""The zone of the machine decides nothing: three machines in three zones make the same tables."""

from datetime import datetime

import pytest
from support.company import lay_out
from support.jobs import run
from support.refreshed import digests

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.ops import QUARANTINE
from crm_spark.contracts.silver import FEEDBACK, ORDER, ORDER_LINE
from crm_spark.core.tables import TableStore

TABLES = (bronze("orders"), bronze("reviews"), ORDER, ORDER_LINE, FEEDBACK, QUARANTINE)


def made_in(spark, root, zone):
    """The tables of the company after jobs whose Python and whose Java have this zone."""
    arguments = ("--conf", lay_out(root, second=True), "--lake", root / "lake")
    environment = {"TZ": zone, "JAVA_TOOL_OPTIONS": f"-Duser.timezone={zone}"}
    for stage in ("ingest", "clean"):
        code, stderr = run(stage, *arguments, environment=environment)
        assert code == 0, stderr[-2000:]
    return digests(TableStore(spark, str(root / "lake")), TABLES)


@pytest.mark.slow
def test_jobs_in_three_time_zones_write_the_same_tables(spark, tmp_path):
    zones = ("UTC", "America/New_York", "Pacific/Auckland")
    digests_by_zone = [made_in(spark, tmp_path / zone.replace("/", "_"), zone) for zone in zones]
    assert len(digests_by_zone[0]) == len(TABLES)
    assert digests_by_zone[0] == digests_by_zone[1] == digests_by_zone[2]
    orders = TableStore(spark, str(tmp_path / "Pacific_Auckland" / "lake")).read(ORDER).where("order_id = 'A1'")
    assert [row["ordered_at"] for row in orders.collect()] == [datetime(2025, 1, 5, 22, 30)]  # 23:30 in Berlin
