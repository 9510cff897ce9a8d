"""The commands of the cron and systemd examples, run as they stand but for their folders."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEA_SHOP = ROOT / "conf" / "examples" / "tea_shop"
pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def commands():
    cron = [line for line in (ROOT / "deploy" / "refresh.cron").read_text().splitlines() if not line.startswith("#")]
    service = (ROOT / "deploy" / "crm-spark-refresh.service").read_text()
    return {
        "cron": cron[0].split(" * * * ")[1],
        "systemd": f"cd /opt/crm_spark && {re.search(r'^ExecStart=(.*)$', service, flags=re.M)[1]}",
    }


def test_a_night_by_cron_then_one_by_systemd(tmp_path):
    places = {
        "/opt/crm_spark": ROOT,
        "/data/lake": tmp_path / "lake",
        "/data/drops": TEA_SHOP / "data",
        "/var/log": tmp_path,
        "conf/company.yaml": f"conf/demo.yaml --set ingest.sources_dir={TEA_SHOP / 'sources'}",
    }
    logs = {}
    for name, command in commands().items():
        for old, new in places.items():
            command = command.replace(old, str(new))
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True)
        logs[name] = (tmp_path / "crm_spark.log").read_text() if name == "cron" else done.stderr
        assert done.returncode == 0, logs[name][-2000:]
    assert re.search(r"refresh done: \d+ stages ran, \d+ were skipped, 0 were up to date", logs["cron"])
    assert "refresh done: 0 stages ran" in logs["systemd"]
