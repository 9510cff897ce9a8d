"""A run that fails says so at the end of its error, in a file for `status`, and to a webhook."""

import errno
import json
import logging
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from crm_spark.core.errors import LeaseHeldError
from crm_spark.core.exit_codes import exit_code_of
from crm_spark.core.failures import AlertsConfig, Failure, last_failure, reported
from crm_spark.core.java import JavaNotFoundError
from crm_spark.core.log import JsonFormatter


class HalfDone:
    current_stage = "resolve"
    results = {"ingest": None, "clean": None}


@pytest.fixture
def server():
    """A real HTTP server, the bodies it received, and the status it answers with."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        status = 200

        def do_POST(self):
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(self.status)
            self.end_headers()

        def log_message(self, *_):
            pass

    listening = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listening.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{listening.server_port}/alert", received, Handler
    listening.shutdown()
    thread.join()
    listening.server_close()


def failing(alerts, files, error):
    def work():
        with reported(alerts, files, "run1", ["resolve"]) as progress:
            progress.pipeline = HalfDone()
            raise error
        return 0

    return exit_code_of(work)


def test_a_failure_is_described_without_the_data_that_an_error_quotes(tmp_path, server, capsys):
    url, received, _ = server
    with pytest.raises(ValueError, match="cannot parse"):
        failing(AlertsConfig(webhook=url), tmp_path, ValueError("cannot parse anna@example.com"))
    failure = last_failure(tmp_path)
    assert (failure.run_id, failure.stage, failure.error, failure.exit_code) == ("run1", "resolve", "ValueError", 1)
    assert failure.stages_done == ("ingest", "clean") and failure.started_at <= failure.ended_at
    assert received == [json.loads((tmp_path / "failure.json").read_text())]
    assert "anna" not in (tmp_path / "failure.json").read_text()


def test_a_known_error_keeps_its_message_and_ends_with_what_to_do(tmp_path, capsys):
    assert failing(AlertsConfig(), tmp_path, LeaseHeldError("run 7 holds the lake.")) == 4
    assert capsys.readouterr().err.splitlines() == [
        "error: run 7 holds the lake.",
        "Run run1 failed in stage resolve; 2 stages finished, and nothing that was written is lost. "
        "Correct the cause and run the same command again: finished stages are not repeated.",
    ]
    assert last_failure(tmp_path).error == "run 7 holds the lake."


@pytest.mark.parametrize(("stages", "is_cleared"), [(["ingest", "resolve"], True), (["replay"], False)])
def test_success_of_the_stage_clears_the_failure(tmp_path, stages, is_cleared):
    failing(AlertsConfig(), tmp_path, LeaseHeldError("x"))
    with reported(AlertsConfig(), tmp_path, "run2", stages):
        pass
    assert (last_failure(tmp_path) is None) is is_cleared


def test_a_record_that_a_full_disk_cut_off_is_no_error(tmp_path):
    (tmp_path / "failure.json").write_text("")
    assert last_failure(tmp_path) is None
    with reported(AlertsConfig(), tmp_path, "run2", []):
        pass


@pytest.mark.parametrize("trouble", ["status 500", "nobody listens", "no port", "not ASCII"])
def test_an_alert_that_is_not_delivered_does_not_hide_the_failure(tmp_path, server, trouble, project_log):
    url, _, handler = server
    handler.status = 500
    urls = {"nobody listens": "http://127.0.0.1:9/none", "no port": "http://host:port/x", "not ASCII": url + "/ü"}
    alerts = AlertsConfig(webhook=urls.get(trouble, url))
    assert failing(alerts, tmp_path, LeaseHeldError("x")) == 4
    assert "alerts.webhook: the alert was not delivered" in project_log.text
    assert last_failure(tmp_path) is not None


def test_blocked_data_is_reported_and_is_no_failure(tmp_path, server):
    url, received, _ = server
    with reported(AlertsConfig(webhook=url), tmp_path, "run3", []) as progress:
        progress.pipeline, progress.blocked = HalfDone(), {"clean": "orders -> order: batch 7 is blocked."}
    alert = {"stage": "clean", "exit_code": 3, "error": "orders -> order: batch 7 is blocked."}
    assert [{key: each[key] for key in alert} for each in received] == [alert]
    assert last_failure(tmp_path) is None


def test_a_failure_before_the_first_stage():
    summary = Failure("r", "", "x", 1, "", "", ()).summary
    assert summary.startswith("Run r failed before the first stage; no stage finished,")


def test_exit_code_of_the_record_is_that_of_the_job(tmp_path, capsys):
    error = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert failing(AlertsConfig(), tmp_path, error) == last_failure(tmp_path).exit_code == 1
    assert last_failure(tmp_path).error.startswith("a disk is full")
    assert failing(AlertsConfig(), tmp_path, JavaNotFoundError("no Java")) == last_failure(tmp_path).exit_code == 2


def test_json_lines_have_the_fields_of_a_stage():
    record = logging.LogRecord("crm_spark", logging.INFO, "", 0, "%s done", ("clean",), None)
    record.stage, record.num_rows, record.created = "clean", 12, 1_700_000_000.25
    assert json.loads(JsonFormatter().format(record)) == {
        "at": "2023-11-14T22:13:20.250+00:00",
        "level": "info",
        "message": "clean done",
        "stage": "clean",
        "num_rows": 12,
    }
