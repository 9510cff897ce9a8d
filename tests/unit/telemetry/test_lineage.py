"""OpenLineage events as their consumers read them."""

import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from crm_spark.contracts.gold import CUSTOMER
from crm_spark.contracts.silver import ORDER, PERSON
from crm_spark.telemetry.lineage import LineageEvents, run_uuid
from crm_spark.telemetry.observer import StageRun

RUN = StageRun("abc123", "resolve", reads=(PERSON, ORDER))
DONE = StageRun(
    "abc123", "resolve", reads=(PERSON, ORDER), status="done", num_rows=7, seconds=2.0, writes={CUSTOMER: 7}
)


@pytest.fixture
def emitted(tmp_path):
    """Events of a lake at a URI, as written by the file transport."""

    def emit(*calls, lake="/data/lake"):
        target = tmp_path / "events.jsonl"
        target.unlink(missing_ok=True)
        transport = {"type": "file", "log_file_path": str(target), "append": True}
        events = LineageEvents(transport, namespace="nights", lake=lake, spark_version="4.2.0")
        for method, run in calls:
            getattr(events, method)(run)
        return [json.loads(line) for line in target.read_text().splitlines()] if target.exists() else []

    return emit


def test_a_stage_has_a_start_and_a_complete_event_of_one_run(emitted):
    start, complete = emitted(("stage_started", RUN), ("stage_ended", DONE))
    assert (start["eventType"], complete["eventType"]) == ("START", "COMPLETE")
    assert start["run"]["runId"] == complete["run"]["runId"] == run_uuid("abc123", "resolve")
    assert complete["job"]["namespace"] == "nights" and complete["job"]["name"] == "refresh.resolve"
    parent = complete["run"]["facets"]["parent"]
    assert parent["run"]["runId"] == run_uuid("abc123") and parent["job"]["name"] == "refresh"
    for event in (start, complete):  # required by the specification
        assert event["producer"].startswith("https://") and event["schemaURL"].startswith(
            "https://openlineage.io/spec/"
        )
        assert event["eventTime"].endswith("+00:00") and uuid.UUID(event["run"]["runId"])


def test_inputs_and_outputs_are_tables_with_columns_and_row_counts(emitted):
    (event,) = emitted(("stage_ended", DONE))
    assert [(d["namespace"], d["name"]) for d in event["inputs"]] == [
        ("file", "/data/lake/silver/order"),
        ("file", "/data/lake/silver/person"),
    ]
    (output,) = event["outputs"]
    assert output["name"] == "/data/lake/gold/customer"
    assert output["outputFacets"]["outputStatistics"]["rowCount"] == 7
    fields = {field["name"]: field["type"] for field in output["facets"]["schema"]["fields"]}
    assert fields["customer_id"] == "string" and len(fields) == len(CUSTOMER.columns)


def test_a_failed_stage_says_so(emitted):
    failed = StageRun("abc123", "resolve", status="failed", error="ArtifactError")
    (event,) = emitted(("stage_ended", failed))
    assert event["eventType"] == "FAIL" and event["run"]["facets"]["errorMessage"]["message"] == "ArtifactError"


def test_a_stage_that_is_up_to_date_has_no_event(emitted):
    assert emitted(("stage_ended", StageRun("abc123", "resolve", status="up_to_date"))) == []


@pytest.mark.parametrize(
    ("lake", "expected"),
    [
        ("hdfs://name:8020/lakes/crm/", ("hdfs://name:8020", "/lakes/crm/gold/customer")),
        ("s3a://bucket/crm", ("s3://bucket", "crm/gold/customer")),
        ("gs://bucket/crm", ("gs://bucket", "crm/gold/customer")),
        (
            "abfss://box@account.dfs.core.windows.net/crm",
            ("abfss://box@account.dfs.core.windows.net", "crm/gold/customer"),
        ),
        ("file:///data/lake", ("file", "/data/lake/gold/customer")),
    ],
)
def test_datasets_are_named_as_the_specification_names_them(emitted, lake, expected):
    (event,) = emitted(("stage_ended", DONE), lake=lake)
    assert (event["outputs"][0]["namespace"], event["outputs"][0]["name"]) == expected


def test_events_reach_a_server():
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            received.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
            self.send_response(201)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    transport = {"type": "http", "url": f"http://127.0.0.1:{server.server_port}", "compression": None}
    LineageEvents(transport, namespace="n", lake="/l", spark_version="4").stage_ended(DONE)
    server.shutdown()
    ((path, event),) = received
    assert path == "/api/v1/lineage" and event["eventType"] == "COMPLETE"
