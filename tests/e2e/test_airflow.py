"""Ten nights by a real Airflow scheduler: retries after a crash, blocked data, bad configuration, alerts, and a backfill."""

import json
import shutil
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from support.airflow import airflow, install

ROOT = Path(__file__).resolve().parents[2]
TEA_SHOP = ROOT / "conf" / "examples" / "tea_shop"
HEAD = "BestellNr;Position;Bestelldatum;Kundennummer;Artikelnummer;Artikel;Kategorie;Menge;Einzelpreis;Status"
LAUNCHER = """
if [ -e {home}/crash-$(basename $1 .py) ]; then
    rm {home}/crash-$(basename $1 .py)
    timeout -s KILL 9 {python} "$@"
    exit $?
fi
exec {python} "$@"
"""
pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(3 * 3600)]  # each stage starts Spark anew


@pytest.fixture
def alerts():
    """A server that collects what is posted to it."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", received
    server.shutdown()


def order(night):
    return f"{6000 + night};1;{night:02d}.12.2025;T1008;Z20;Tea strainer;Zubehör;2;4,90;geliefert"


def test_ten_nights(tmp_path, alerts, spark):
    environment = install(tmp_path / "airflow")
    if environment is None:
        pytest.skip("Airflow cannot be installed here")
    url, received = alerts
    sources, data, lake = tmp_path / "sources", tmp_path / "data", tmp_path / "lake"
    shutil.copytree(TEA_SHOP / "sources", sources)
    shutil.copytree(TEA_SHOP / "data", data)
    launcher = tmp_path / "run.sh"
    launcher.write_text(LAUNCHER.format(home=tmp_path, python=sys.executable))
    options = f"--conf conf/demo.yaml --lake {lake} --set ingest.sources_dir={sources} --set ingest.data_dir={data}"
    variables = {
        "CRM_SPARK_HOME": str(ROOT),
        "CRM_SPARK_SUBMIT": f"sh {launcher}",
        "CRM_SPARK_OPTIONS": options,
        "CRM_SPARK_ALERT_URL": url,
        "CRM_SPARK_RETRY_SECONDS": "2",
    }
    states, tries = {}, {}
    with airflow(environment, tmp_path / "home", **variables) as scheduler:
        for night in range(1, 11):
            lines = [HEAD, order(night)]
            if night == 4:
                (tmp_path / "crash-clean").touch()
            if night == 6:  # most rows have no valid date, of enough rows to block the delivery
                lines += [order(night).replace("12.2025", "31.2025").replace("6006", f"70{i:02}") for i in range(24)]
            if night == 8:
                (sources / "broken.yaml").write_text("feeds: [")
            if night == 9:
                (sources / "broken.yaml").unlink()
            (data / f"order_lines_night{night:02d}.csv").write_text("\n".join([*lines, ""]))
            states[night] = scheduler.run(f"night-{night}")
            tries[night] = scheduler.tries(f"night-{night}")
        scheduler.command(
            *(
                "backfill",
                "create",
                "--dag-id",
                "crm_spark_refresh",
                "--from-date",
                "2025-10-01",
                "--to-date",
                "2025-10-03",  # its own run would begin at 02:30
            )
        )
        backfill = scheduler.wait("run_type = 'backfill'", num_runs=2, minutes=30)
        assets = {
            name for (name,) in scheduler.query("select a.name from asset_event e join asset a on a.id = e.asset_id")
        }
    assert states == {night: "failed" if night in (6, 8) else "success" for night in range(1, 11)}
    assert set(backfill.values()) == {"success"}
    assert tries[4]["clean"] == ("success", 2), "killed, then continued"
    assert tries[6]["report"] == ("success", 1) and tries[6]["no_blocked_data"] == ("failed", 1)
    assert tries[8]["ingest"] == ("failed", 1), "bad configuration is not tried again"
    assert [(alert["run"], alert["task"]) for alert in received] == [
        ("night-6", "no_blocked_data"),
        ("night-8", "ingest"),
    ]
    layers = {"bronze", "silver", "gold", "features", "scores", "actions", "report"}
    assert assets == {f"crm_spark_{layer}" for layer in layers}
    table = spark.read.format("delta").load(str(lake / "silver" / "order"))
    assert table.where("order_id between '6001' and '6010'").count() == 9, "all but the blocked delivery of night 6"
    days = spark.read.format("delta").load(str(lake / "features" / "customer")).select("as_of").distinct().collect()
    assert {"2025-10-01", "2025-10-02", "2025-12-10"} <= {str(row[0]) for row in days}
