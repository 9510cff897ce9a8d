"""What is tested on HDFS by default holds on S3 as well; in a process of its own, because the S3 client is 0.7 GB of JARs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from install import jar_paths
from local_s3 import SERVER, s3, s3_jars

ROOT = Path(__file__).resolve().parents[2]
pytestmark = [pytest.mark.e2e, pytest.mark.slow]


@pytest.mark.skipif(not SERVER.exists(), reason="make s3-server was not run")
def test_a_lake_on_s3(tmp_path):
    conf = tmp_path / "conf"
    conf.mkdir()
    with s3(tmp_path) as bucket:
        settings = {"spark.jars": ",".join(map(str, [*jar_paths(), *s3_jars()])), **bucket.settings}
        (conf / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
        env = {**os.environ, "SPARK_CONF_DIR": str(conf), "CRM_SPARK_TEST_STORE": bucket.uri}
        env.pop("PYTEST_XDIST_WORKER", None)
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        result = subprocess.run(
            [*command, "tests/spark/core/test_remote_lake.py"], cwd=ROOT, env=env, capture_output=True, text=True
        )
    assert result.returncode == 0, result.stdout[-5000:]
    assert "skipped" not in result.stdout.splitlines()[-1]
