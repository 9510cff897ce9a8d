"""A run tells Prometheus and OpenLineage what its stages did, also if one fails."""

import json
import shutil
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from crm_spark.cli.app import run

TEA_SHOP = Path(__file__).resolve().parents[3] / "conf" / "examples" / "tea_shop"


@pytest.fixture
def ingest(tmp_path):
    """Runs the ingest stage on a small company; returns exit code, metrics and events."""
    data, prom, events = tmp_path / "data", tmp_path / "crm.prom", tmp_path / "events.jsonl"
    shutil.copytree(TEA_SHOP / "data", data)
    transport = {"type": "file", "log_file_path": str(events), "append": True}
    settings = {
        "ingest.sources_dir": TEA_SHOP / "sources",
        "ingest.data_dir": data,
        "telemetry.prometheus_file": prom,
        "telemetry.openlineage": json.dumps(transport),
    }

    def go(stage="ingest", *more, **changed):
        pairs = {**settings, **{key.replace("__", "."): value for key, value in changed.items()}}
        options = [word for key, value in pairs.items() for word in ("--set", f"{key}={value}")]
        code = run(stage, ["--lake", str(tmp_path / "lake"), *options, *more])
        return code, *read_back(tmp_path)

    return go


def read_back(folder):
    prom, events = folder / "crm.prom", folder / "events.jsonl"
    families = text_string_to_metric_families(prom.read_text()) if prom.exists() else []
    metrics = {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}
    return metrics, [json.loads(line) for line in events.read_text().splitlines()] if events.exists() else []


def test_runs_are_told(spark, ingest):
    code, metrics, _ = ingest("ingest", "--dry-run")
    assert (code, metrics) == (0, {})  # a dry run is no run
    code, metrics, (start, complete) = ingest()
    assert code == 0 and metrics["crm_spark_exit_code",] == 0
    num_rows = {key[1]: value for key, value in metrics.items() if key[0] == "crm_spark_source_records"}
    assert sum(num_rows.values()) == metrics["crm_spark_stage_rows", "ingest"] > 0 and len(num_rows) == 3
    assert not [key for key in metrics if key[0] == "crm_spark_source_quarantined_rows"]  # nothing is cleaned yet
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    names = {output["name"].split("/lake/")[1] for output in complete["outputs"]}
    assert names == {"bronze/customers", "bronze/order_lines", "bronze/reviews", "ops/delivery"}
    written = {
        d["name"].split("/lake/")[1]: d["outputFacets"]["outputStatistics"]["rowCount"] for d in complete["outputs"]
    }
    assert written["bronze/customers"] == num_rows["customers"]
    code, failed, _ = ingest("featurise")  # it needs customers
    assert code == 2 and failed["crm_spark_exit_code",] == 2
    assert failed["crm_spark_last_success_timestamp_seconds",] == metrics["crm_spark_last_success_timestamp_seconds",]
    assert failed["crm_spark_source_records", "customers"] == num_rows["customers"]


def test_a_stage_that_fails_is_told(spark, ingest, tmp_path):
    (tmp_path / "lake").mkdir()
    (tmp_path / "lake" / "bronze").write_text("no folder")
    with pytest.raises(Exception, match="DELTA_CANNOT_CREATE_LOG_PATH"):
        ingest()
    (tmp_path / "lake" / "bronze").unlink()
    failed, told = read_back(tmp_path)
    assert failed["crm_spark_exit_code",] == 1 and failed["crm_spark_last_success_timestamp_seconds",] == 0
    assert failed["crm_spark_stage_end_timestamp_seconds", "ingest"] > 0
    assert [event["eventType"] for event in told] == ["START", "FAIL"]
    assert told[1]["run"]["facets"]["errorMessage"]["message"]


def test_a_run_goes_on_if_it_cannot_be_told(spark, ingest, tmp_path, project_log):
    (tmp_path / "file").write_text("x")
    blocked = tmp_path / "file" / "crm.prom"
    code, _, _ = ingest(telemetry__prometheus_file=blocked, telemetry__openlineage='{"type": "no_such_transport"}')
    assert code == 0
    log = project_log.text
    assert (
        "telemetry.prometheus_file: not written (FileExistsError" in log and "telemetry.openlineage: not written" in log
    )
