"""`status` says what ran, what arrived, which models are in use, and what to do."""

import json
from dataclasses import asdict
from datetime import date, datetime, timedelta

import pytest
from support.lake import lake_context, put

from crm_spark.cli.app import run
from crm_spark.contracts.ops import DELIVERY, FINDING, QUARANTINE, RECONCILIATION, RUN
from crm_spark.core.context import utc_now
from crm_spark.core.failures import Failure
from crm_spark.core.tables.migration import set_layout
from crm_spark.migrations.upgrade import LAYOUT_VERSION

NIGHT = datetime(2025, 3, 1, 2, 30)


def delivery(source, batch, arrived_at, status="ingested", **more):
    return {
        "source": source,
        "file": f"{batch}.csv",
        "file_sha256": batch,
        "batch_id": batch,
        "num_rows": 100,
        "status": status,
        "arrived_at": arrived_at,
        **more,
    }


@pytest.fixture
def lake(spark, tmp_path):
    ctx = lake_context(spark, tmp_path)
    runs = [
        {"run_id": f"r{night}", "stage": stage, "status": "done", "num_rows": 1000 + night, "seconds": 12.4}
        | {"ended_at": NIGHT + timedelta(days=night), "as_of": date(2025, 2, 28), "note": f"note of night {night}"}
        for night in (0, 1)
        for stage in ("clean", "ingest")
    ]
    put(ctx.tables, RUN, runs)
    today = utc_now()
    put(
        ctx.tables,
        DELIVERY,
        [
            *(delivery("orders", f"o{i}", today - timedelta(days=i, hours=1)) for i in range(5)),
            *(delivery("people", f"p{i}", today - timedelta(days=40 + i)) for i in range(4)),
            delivery("orders", "bad", today, "rejected", reason="no_records", position="byte 3", hint="Send it again."),
            delivery("orders", "healed", today - timedelta(days=2), "rejected", reason="empty"),
            delivery("orders", "healed", today - timedelta(days=1), file_sha256="other"),
        ],
    )
    counts = [
        {"source": "orders", "entity": "order", "batch_id": "o0", "num_in": 90, "num_quarantined": 3}
        | {"last_event_at": NIGHT},
        {"source": "orders", "entity": "order", "batch_id": "o1", "num_in": 80, "num_quarantined": 80},
    ]
    put(ctx.tables, RECONCILIATION, counts)
    blocked = {"entity": "order", "code": "max_quarantined", "column": "*", "severity": "block"}
    put(
        ctx.tables,
        FINDING,
        [{"source": "orders", "batch_id": "o1", **blocked}, {"source": "orders", "batch_id": "o2", **blocked}],
    )
    rows = [("1", "o1", "quarantined"), ("2", "o2", "released")]
    put(
        ctx.tables,
        QUARANTINE,
        [
            {"row_id": row, "source": "orders", "entity": "order", "batch_id": batch, "status": status}
            for row, batch, status in rows
        ],
    )
    for table in (DELIVERY, RUN):
        set_layout(ctx.tables, table, LAYOUT_VERSION)
    home = tmp_path / "files" / "fitted" / "churn"
    (home / "v7").mkdir(parents=True)
    (home / "current").write_text("v7")
    (home / "v7" / "card.json").write_text(json.dumps({"as_of": "2025-02-01", "settings": ""}))
    return tmp_path


def printed(lake, capsys):
    assert run("status", ["--lake", str(lake)]) == 0
    out = capsys.readouterr().out
    return {part.splitlines()[0]: part.splitlines()[1:] for part in out.strip().split("\n\n")}


def test_status_of_a_lake(lake, capsys):
    shown = printed(lake, capsys)
    assert [" ".join(line.split()) for line in shown["Last runs"]] == [
        "stage status ended (UTC) as of rows seconds note",
        "ingest done 2025-03-02 02:30 2025-02-28 1,001 12 note of night 1",
        "clean done 2025-03-02 02:30 2025-02-28 1,001 12 note of night 1",
    ]
    sources = [line.split() for line in shown["Sources"][1:]]
    assert [(s[0], s[1], s[4], " ".join(s[5:8])) for s in sources] == [
        ("orders", "6", "100", "3 of 90"),
        ("people", "4", "100", "not cleaned yet"),
    ]
    assert shown["Models"][1].split() == ["churn", "v7", "2025-02-01"]
    tasks = "\n".join(shown["To do"])
    assert "orders -> order: delivery o1 is blocked (max_quarantined)." in tasks
    assert "delivery o2" not in tasks, "all its rows are released"
    assert "orders: file bad.csv was rejected (no_records at byte 3). Send it again." in tasks
    assert "healed" not in tasks, "a later version of the file was read"
    assert "people: no delivery for 40 days; usually there is one every 1 day." in tasks
    assert "people: the newest delivery is not cleaned yet. Run a refresh." in tasks
    assert len(shown["To do"]) == 4


def test_a_failed_run_is_the_first_thing_to_do(lake, capsys):
    failure = Failure("r9", "train", "No space left", 1, "2025-03-03T02:30:00", "2025-03-03T02:40:00", ("ingest",))
    (lake / "files" / "failure.json").write_text(json.dumps(asdict(failure)))
    first = printed(lake, capsys)["To do"][0]
    assert first.startswith("  2025-03-03T02:40:00: Run r9 failed in stage train; 1 stage finished")
    assert first.endswith("Error: No space left")


def test_an_empty_lake_is_an_error(tmp_path, capsys):
    assert run("status", ["--lake", str(tmp_path)]) == 2
    assert "no stage has run there yet" in capsys.readouterr().err
