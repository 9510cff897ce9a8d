"""Jobs as a user starts them: exit codes, sentences, no stack trace for a user's mistake."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from deltalake import DeltaTable
from support.company import lay_out
from support.refreshed import ROOT, files_of

from crm_spark.core.java import find_java
from crm_spark.core.lease import Lease


def job(name, *arguments, launcher=(sys.executable,)):
    command = [*launcher, str(ROOT / "jobs" / f"{name}.py"), *map(str, arguments)]
    # spark-submit takes the system's python3 and java, whatever the environment it lies in.
    environment = {**os.environ, "PYSPARK_PYTHON": sys.executable, "JAVA_HOME": find_java()}
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, env=environment)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--set", "segment.max_kk=5"], "segment.max_kk: unknown key; did you mean 'max_k'?"),
        (["--set", "segment.max_k=many"], "segment.max_k: input should be a valid integer"),
        (["--set", "predict.high_risk=1.5"], "predict.high_risk: input should be less than 1, got 1.5"),
        (["--conf", "nowhere.yaml"], "nowhere.yaml: cannot be read"),
        (["--as-of", "31.01.2025"], "expected a day such as 2026-01-31"),
        (["--set", "company.currency=Euro"], "company.currency: string should match pattern '^[A-Z]{3}$', got 'Euro'"),
    ],
)
def test_invalid_configuration_is_reported_with_exit_code_2(tmp_path, arguments, sentence):
    result = job("segment", "--lake", tmp_path / "lake", *arguments)
    assert result.returncode == 2 and sentence in result.stderr
    assert "Traceback" not in result.stderr


def test_missing_lake_and_missing_data_are_reported(tmp_path):
    result = job("ingest")
    assert result.returncode == 2 and "give --lake DIR" in result.stderr
    result = job("ingest", "--lake", tmp_path / "lake", "--set", f"ingest.data_dir={tmp_path / 'none'}")
    assert result.returncode == 2 and "is not a folder" in result.stderr and "Traceback" not in result.stderr


def test_locked_lake_gives_exit_code_4(tmp_path):
    with Lease(str(tmp_path), run_id="other"):
        result = job("report", "--lake", tmp_path)
    assert result.returncode == 4 and "run other" in result.stderr


@pytest.mark.slow
def test_mostly_invalid_delivery_gives_exit_code_3_and_does_not_change_silver(tmp_path):
    conf = lay_out(tmp_path)
    rows = [f"Z{i};1;K1;X;zwei;10,50;05.01.2025 10:00;OK" for i in range(30)]
    from support.company import deliver

    deliver(tmp_path, "3", rows, [])
    lake = tmp_path / "lake"
    relative = os.path.relpath(lake, ROOT)
    assert job("ingest", "--conf", conf, "--lake", relative).returncode == 0
    result = job("clean", "--conf", conf, "--lake", relative, "--set", "clean.max_quarantined_fraction=0.5")
    assert result.returncode == 3 and "is blocked (mostly_quarantined)" in result.stderr, result.stderr[-2000:]
    assert "Traceback" not in result.stderr
    assert DeltaTable(str(lake / "silver" / "order_line")).to_pyarrow_table().num_rows == 0
    assert DeltaTable(str(lake / "silver" / "feedback")).to_pyarrow_table().num_rows == 3, "the others are done"


def test_dry_run_prints_the_plan_and_writes_nothing(tmp_path):
    conf, lake = lay_out(tmp_path), tmp_path / "lake"
    result = job("ingest", "--conf", conf, "--lake", lake, "--dry-run")
    assert result.returncode == 0 and "would ingest orders: 1 file\n" in result.stderr
    assert [name for name in files_of(lake) if not name.startswith("_lease")] == []


def test_spark_submit_runs_the_same_job(tmp_path):
    conf, lake = lay_out(tmp_path), tmp_path / "lake"
    submit = Path(sys.executable).with_name("spark-submit")
    result = job("ingest", "--conf", conf, "--lake", lake, launcher=(str(submit),))
    assert result.returncode == 0, result.stderr[-2000:]
    assert "ingest     done            16 rows" in result.stdout + result.stderr  # spark-submit sends both to one
