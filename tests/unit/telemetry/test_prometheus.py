"""The Prometheus file: what a run measured, beside what an earlier one did."""

from datetime import datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from crm_spark.telemetry.observer import StageRun
from crm_spark.telemetry.prometheus import PrometheusFile

SOURCES = [
    {"source": "orders", "newest_at": datetime(2025, 3, 1), "num_rows": 90, "num_quarantined": 3},
    {"source": "new", "newest_at": datetime(2025, 3, 2), "num_rows": 7, "num_quarantined": None},
]


def samples(path):
    families = text_string_to_metric_families(path.read_text())
    return {(s.name, *s.labels.values()): s.value for family in families for s in family.samples}


def written(path, *stages, exit_code=0, sources=()):
    metrics = PrometheusFile(path)
    for stage, status, num_rows, seconds in stages:
        metrics.stage_ended(StageRun("r", stage, status=status, num_rows=num_rows, seconds=seconds))
    metrics.write(exit_code, sources)
    return samples(path)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "collector" / "crm_spark.prom"


def test_a_run_is_measured_by_stage_and_source(path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1_000.0)
    found = written(path, ("clean", "done", 90, 12.5), ("train", "up_to_date", 0, 0.0), sources=SOURCES)
    assert found == {
        ("crm_spark_exit_code",): 0.0,
        ("crm_spark_last_run_timestamp_seconds",): 1_000.0,
        ("crm_spark_last_success_timestamp_seconds",): 1_000.0,
        ("crm_spark_stage_duration_seconds", "clean"): 12.5,
        ("crm_spark_stage_rows", "clean"): 90.0,
        ("crm_spark_stage_end_timestamp_seconds", "clean"): 1_000.0,
        ("crm_spark_source_delivery_timestamp_seconds", "orders"): datetime(2025, 3, 1).timestamp(),
        ("crm_spark_source_delivery_timestamp_seconds", "new"): datetime(2025, 3, 2).timestamp(),
        ("crm_spark_source_records", "orders"): 90.0,
        ("crm_spark_source_records", "new"): 7.0,
        ("crm_spark_source_quarantined_rows", "orders"): 3.0,
    }


def test_a_failed_run_keeps_the_last_success_and_what_it_did_not_measure(path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1_000.0)
    before = written(path, ("clean", "done", 90, 12.5), ("score", "done", 5, 3.0), sources=SOURCES)
    monkeypatch.setattr("time.time", lambda: 2_000.0)
    after = written(path, ("clean", "failed", 0, 1.0), exit_code=1)
    assert {key: value for key, value in after.items() if before[key] != value} == {
        ("crm_spark_exit_code",): 1.0,
        ("crm_spark_last_run_timestamp_seconds",): 2_000.0,
        ("crm_spark_stage_duration_seconds", "clean"): 1.0,
        ("crm_spark_stage_rows", "clean"): 0.0,
        ("crm_spark_stage_end_timestamp_seconds", "clean"): 2_000.0,
    }
    assert after.keys() == before.keys()


def test_blocked_data_is_a_success_with_its_own_exit_code(path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 1_000.0)
    found = written(path, exit_code=3)
    assert found["crm_spark_exit_code",] == 3.0 and found["crm_spark_last_success_timestamp_seconds",] == 1_000.0


def test_a_damaged_file_is_replaced(path):
    path.parent.mkdir()
    path.write_text("not { a metric")
    assert written(path)["crm_spark_exit_code",] == 0.0
