"""The submit command of the runbook on a real standalone cluster, without the defaults that the set-up writes."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from cluster_demo import submit_environment
from local_cluster import cluster

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def documented_command() -> str:
    """The code block of the runbook's section Cluster."""
    section = (ROOT / "docs" / "cluster.md").read_text().split("## Submit")[1]
    return re.search(r"```\n(.*?)```", section, flags=re.S)[1]


def digests(lake):
    """Rows and values of the tables that do not depend on the number of partitions."""
    from deltalake import DeltaTable

    found = {}
    for name in ("silver/person", "silver/order_line", "gold/customer", "gold/customer_link", "ops/reconciliation"):
        frame = DeltaTable(str(lake / name)).to_pandas()
        frame = frame.drop(
            columns=[c for c in frame.columns if c in ("row_id", "batch_id", "merged_from", "reading_version")]
        )
        found[name] = sorted(map(repr, frame.astype(str).to_dict("records")))
    return found


def test_the_documented_command_runs_a_refresh_with_the_results_of_local_mode(tmp_path):
    example = ROOT / "conf" / "examples" / "tea_shop"
    shared = [*("--set", f"ingest.sources_dir={example / 'sources'}", "--set", "resolve.backend=spark")]
    local = [sys.executable, "jobs/refresh.py", "--conf", "conf/local.yaml", "--lake", str(tmp_path / "local"), *shared]
    local += ["--set", f"ingest.data_dir={example / 'data'}"]
    subprocess.run(local, cwd=ROOT, check=True, capture_output=True)
    with cluster(tmp_path) as spark:
        command = documented_command().replace("spark://master:7077", spark.url)
        command = command.replace("/mnt/lake", str(tmp_path / "lake")).replace("/mnt/drops", str(example / "data"))
        command = command.replace("jobs/refresh.py", "--conf spark.executor.memory=2g jobs/refresh.py").rstrip()
        env = submit_environment(tmp_path)
        whole = f"{command} {shlex.join(shared)}"
        result = subprocess.run(["sh", "-ec", whole], cwd=ROOT, env=env, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-2000:] + result.stderr[-4000:]
    log = result.stdout + result.stderr
    assert "refresh done" in log and "compared with Splink on spark" in log, log[-4000:]
    assert digests(tmp_path / "lake") == digests(tmp_path / "local")
    assert (tmp_path / "lake" / "files" / "report.html").stat().st_size > 10_000


def test_a_lake_in_hdfs_has_the_tables_of_local_mode(tmp_path):
    """Executors of the cluster see neither the driver's copy of the lake's files nor the company's files by a path."""
    command = [sys.executable, "deploy/cluster_demo.py", "--out", str(tmp_path / "demo"), "--customers", "1000"]
    # Hundreds of texts, seen once: TF-IDF would win, and nothing would be scored.
    command += ["--set", 'train.baselines=["class_prior"]']
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]
    assert "differing: none" in result.stdout
    for stage in ("segment", "predict", "recommend", "shard", "train", "score", "report"):
        assert re.search(rf"{stage} +done", result.stdout + result.stderr), stage
