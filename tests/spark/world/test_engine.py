"""Generation is deterministic and independent of scheduling, and the ground truth matches the files."""

import csv
import gzip
import hashlib
import json
import subprocess
import sys
from collections import Counter

import pytest
from pyarrow import parquet as pq
from support.lake import ROOT

from crm_spark.world.engine import generate, run_task
from crm_spark.world.plan import plan
from crm_spark.world.spec import WorldSpec

SPEC = WorldSpec(customers=1000, history_days=200, days=3, block=500, dirty_fraction=0.05)
DAYS = ("2024-07-19", "2024-07-20", "2024-07-21", "2024-07-22")  # 1 January 2024 and 200 days; the history comes first
SIGNS = {
    "bad_date": {"31.02.2024", "31.04.2024", "yesterday", "soon", "n.d.", "now", "2024/13/45", "?soon"},
    "bad_number": {"zwei", "many", "****"},
    "bad_rating": {"9", "42"},
    "future_date": {"01.01.2099", "2099-06-01 00:00:00", "2099-01-01T00:00:00+01:00"},
    "missing_required": {"", "None"},
    "non_positive_price": {"0,00", "0"},
    "non_positive_quantity": {"-1", "0"},
    "unknown_value": {"X9", "???"},
}
"""Values of faulty cells, by reason code."""


def digests(root):
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def world(spark, tmp_path_factory):
    """Generated company: its folder and the totals by source."""
    root = tmp_path_factory.mktemp("world")
    return root, generate(spark, SPEC, plan(SPEC), str(root))


def records(path):
    """The records of a file as lists of cells; a JSON line that cannot be read is null."""
    if path.name.endswith(".parquet"):
        return [[str(cell) for cell in row.values()] for row in pq.read_table(path).to_pylist()]
    content = gzip.decompress(path.read_bytes()) if path.name.endswith(".gz") else path.read_bytes()
    if ".jsonl" in path.name:
        return [_cells(line) for line in content.decode().splitlines()]
    delimiter = {"campaign_contacts": "|"}.get(
        path.name.split("-")[0], ";" if content.split(b"\n", 1)[0].count(b";") else ","
    )
    return list(csv.reader(content.decode().splitlines(keepends=True), delimiter=delimiter))[1:]


def _cells(line):
    try:
        return [str(cell) for cell in json.loads(line).values()]
    except json.JSONDecodeError:
        return None


@pytest.fixture(scope="module")
def planted(world):
    """(source, reason, record, the record before it) of every planted fault."""
    root, _ = world
    read = {}
    faults = []
    for row in pq.read_table(root / "truth" / "dirty_row").to_pylist():
        if row["file"] not in read:
            read[row["file"]] = records(root / "drops" / row["file"])
        rows = read[row["file"]]
        assert 0 <= row["position"] < len(rows)
        faults.append((row["source"], row["reason"], rows[row["position"]], rows[row["position"] - 1]))
    return faults


def test_every_delivery_contains_both_customer_blocks(world):
    root, _ = world
    names = {path.name: {p.name for p in path.iterdir()} for path in (root / "drops").iterdir()}
    assert tuple(sorted(names)) == DAYS
    assert all({"web_events-0000.jsonl.gz", "web_events-0001.jsonl.gz"} <= names[day] for day in DAYS)
    assert "products-0000.csv" in names[DAYS[0]] and "products-0001.csv" not in names[DAYS[0]]


def test_totals_match_the_files(world):
    root, totals = world
    paths = [path for path in (root / "drops").rglob("*") if path.is_file()]
    num_bytes = Counter()
    for path in paths:
        num_bytes[path.name.split("-")[0]] += path.stat().st_size
    assert {source: size for source, (_, size) in totals.items()} == num_bytes
    assert totals["products"][0] == 300
    reviews = [path for path in paths if path.name.startswith("reviews")]
    assert totals["reviews"][0] == sum(len(records(path)) for path in reviews)


def test_single_thread_in_another_process_writes_the_same_bytes(world, tmp_path):
    root, _ = world
    settings = SPEC.model_dump(include={"history_days", "block", "dirty_fraction"})
    command = [sys.executable, "jobs/generate.py", "--out", str(tmp_path), "--master", "local[1]"]
    command += ["--customers", "1000", "--days", "3", "--seed", str(SPEC.seed)]
    command += [part for key, value in settings.items() for part in ("--set", f"{key}={value}")]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=300)
    assert digests(tmp_path) == digests(root)


def test_tasks_in_another_order_write_the_same_bytes(world, tmp_path):
    root, _ = world
    for task in reversed(plan(SPEC)[2:]):  # the history takes longest and is compared above
        run_task(SPEC, task, str(tmp_path))
    made = digests(tmp_path)
    assert made and made == {name: digest for name, digest in digests(root).items() if name in made}


def test_separately_generated_days_equal_one_long_run(spark, world, tmp_path):
    root, _ = world
    late = SPEC.model_copy(update={"from_day": 2})
    generate(spark, late, plan(late), str(tmp_path))
    expected = {name: digest for name, digest in digests(root).items() if DAYS[2] in name or DAYS[3] in name}
    assert digests(tmp_path) == expected
    assert {name.split("/")[1] for name in expected if name.startswith("drops")} == set(DAYS[2:])


def test_another_seed_gives_different_data(world, tmp_path):
    root, _ = world
    other = SPEC.model_copy(update={"seed": 8})
    run_task(other, plan(other)[2], str(tmp_path))
    made, whole = digests(tmp_path), digests(root)
    assert made and not [name for name, digest in made.items() if whole.get(name) == digest]


def test_injected_faults_match_the_ground_truth(planted):
    for source, reason, record, before in planted:
        if reason == "exact_duplicate":
            assert record == before
        elif reason == "malformed_record":
            assert record is None or len(record) == 1, source
        elif reason == "missing_required":
            assert record[0] in SIGNS[reason], source  # what tells a record from another stands first in every source
        else:
            assert SIGNS[reason] & set(record), (source, reason)


def test_every_kind_of_fault_occurs(planted):
    assert {reason for _, reason, _, _ in planted} == {*SIGNS, "exact_duplicate", "malformed_record"}


@pytest.fixture(scope="module")
def cells(world):
    """Every record of each source."""
    root, _ = world
    by_source = {}
    for path in sorted((root / "drops").rglob("*.*")):
        by_source.setdefault(path.name.split("-")[0], []).extend(records(path))
    return by_source


def test_ground_truth_contains_every_fault(planted, cells):
    expected = Counter((source, reason) for source, reason, _, _ in planted)
    for source, rows in cells.items():
        whole = [row for row in rows if row is not None and len(row) > 1]
        assert len(rows) - len(whole) == expected[source, "malformed_record"]
        assert sum(row[0] in SIGNS["missing_required"] for row in whole) == expected[source, "missing_required"]
        assert sum(bool(SIGNS["future_date"] & set(row)) for row in whole) == expected[source, "future_date"]


def test_ground_truth_texts_are_in_their_source(world, planted, cells):
    root, _ = world
    expected = Counter((source, reason) for source, reason, _, _ in planted)
    ids = {source: {row[0] for row in rows if row} for source, rows in cells.items()}
    rows = pq.read_table(root / "truth" / "text").to_pylist()
    assert {row["source"] for row in rows} == {"reviews", "surveys", "support_tickets"}
    missing = Counter(row["source"] for row in rows if row["record_id"] not in ids[row["source"]])
    # A record cannot be found by an id that is missing, nor where its line of JSON is broken.
    assert missing["reviews"] == expected["reviews", "missing_required"]
    tickets = "support_tickets"
    assert missing[tickets] == expected[tickets, "missing_required"] + expected[tickets, "malformed_record"]
    assert missing["surveys"] <= expected["surveys", "missing_required"]  # not every answer has a text
