"""Refresh of the three example companies on their real files, which are not part of the project (`--data`)."""

import argparse
import csv
import gzip
import hashlib
import os
import shutil
import sys
from pathlib import Path

from deltalake import DeltaTable

from benchmarks.__main__ import Skipped
from benchmarks.figures import OUT, Figure
from benchmarks.process_monitor import Watched, watch

EXAMPLES = ("online_retail", "clothing_reviews", "complete_journey")


def run(arguments: argparse.Namespace) -> list[Figure]:
    """Refresh each example in a new lake and compare counts.

    Raises:
        Skipped: the files are not at hand.
    """
    data = arguments.data or os.environ.get("CRM_SPARK_EXAMPLES")
    if not data or not Path(data).is_dir():
        raise Skipped(
            "give the folder that holds online_retail/, clothing_reviews/ and complete_journey/ with --data or in CRM_SPARK_EXAMPLES"
        )
    figures: list[Figure] = []
    for name in EXAMPLES:
        lake = OUT / f"example-{name}"
        shutil.rmtree(lake, ignore_errors=True)
        command = [
            sys.executable,
            "jobs/refresh.py",
            "--conf",
            f"conf/examples/{name}/company.yaml",
            "--lake",
            str(lake),
        ]
        watched = watch([*command, "--set", f"ingest.data_dir={Path(data) / name}"])
        figures += _time(name, watched) + _conservation(name, lake)
        if name == "online_retail":
            figures += online_retail(lake)
        elif name == "clothing_reviews":
            figures += clothing_reviews(lake, Path(data) / name / "clothing_reviews.csv.gz")
        else:
            figures += row_counts(name, lake)
    return figures


def _time(name: str, watched: Watched) -> list[Figure]:
    return [
        Figure(f"{name}: refresh", watched.seconds, "seconds"),
        Figure(f"{name}: peak memory", watched.peak_mb, "MB"),
    ]


def _conservation(name: str, lake: Path) -> list[Figure]:
    """Return the number of rows that are neither accepted, quarantined nor duplicates."""
    statuses = DeltaTable(str(lake / "ops" / "reconciliation")).to_pyarrow_table().to_pandas()
    num_lost = (statuses.num_in - statuses.num_accepted - statuses.num_quarantined - statuses.num_duplicate).abs().sum()
    return [Figure(f"{name}: rows without a status", float(num_lost), "rows", "== 0")]


def online_retail(lake: Path) -> list[Figure]:
    """Check the standard policy: guests, cancellations, non-positive values and duplicates excluded from revenue."""
    tables = {
        name: DeltaTable(str(lake / name)).to_pyarrow_table().to_pandas()
        for name in ("silver/order", "gold/customer_link")
    }
    lines = DeltaTable(str(lake / "silver/order_line")).to_pyarrow_dataset()
    lines = lines.to_table(columns=["system", "order_id", "amount", "is_return"]).to_pandas()
    statuses = DeltaTable(str(lake / "ops/reconciliation")).to_pyarrow_table().to_pandas()
    orders = tables["silver/order"][tables["silver/order"].status == "completed"]
    sold = lines[~lines.is_return].merge(orders[["system", "order_id", "person_id"]], on=["system", "order_id"])
    sold = sold.merge(tables["gold/customer_link"][["system", "person_id", "customer_id"]], on=["system", "person_id"])
    num_in = int(statuses[statuses.entity == "order_line"].num_in.sum())
    return [
        Figure("online_retail: lines in", num_in, "rows", "== 541909"),
        Figure("online_retail: lines that are revenue", len(sold), "rows", "== 392692"),
        Figure("online_retail: customers", sold.customer_id.nunique(), "customers", "== 4338"),
        Figure("online_retail: revenue", round(float(sold.amount.sum()), 2), "GBP", "== 8887208.89"),
    ]


def clothing_reviews(lake: Path, source: Path) -> list[Figure]:
    """Compare texts with the file (read by the csv module) and return the metrics on the test split."""
    with gzip.open(source, "rt", encoding="utf-8", newline="") as file:
        expected = {row[""]: _digest(row["Review Text"]) for row in csv.DictReader(file)}
    silver = (
        DeltaTable(str(lake / "silver/feedback"))
        .to_pyarrow_dataset()
        .to_table(columns=["feedback_id", "text"])
        .to_pylist()
    )
    equal = sum(1 for row in silver if _digest(row["text"] or "") == expected[row["feedback_id"]])
    metrics = DeltaTable(str(lake / "ops/metric")).to_pyarrow_table().to_pandas()
    figures = [
        Figure("clothing_reviews: reviews in", len(expected), "rows", "== 23486"),
        Figure("clothing_reviews: texts equal to the source", equal, "rows", f"== {len(expected)}"),
    ]
    for name, unit in (
        ("macro_f1", "fraction"),
        ("accuracy", "fraction"),
        ("cross_entropy", "bits"),
        ("calibration_error", "fraction"),
    ):
        for row in metrics[(metrics.metric == name) & (metrics.slice == "all")].itertuples():
            figures.append(
                Figure(f"clothing_reviews: {name} of {row.model} on {row.num_rows:,} test texts", row.value, unit)
            )
    return figures


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def row_counts(name: str, lake: Path) -> list[Figure]:
    """Return the number of rows of every table."""
    tables = sorted(log.parent for log in lake.glob("*/*/_delta_log"))
    return [
        Figure(
            f"{name}: {table.relative_to(lake).as_posix()}",
            DeltaTable(str(table)).to_pyarrow_dataset().count_rows(),
            "rows",
        )
        for table in tables
    ]
