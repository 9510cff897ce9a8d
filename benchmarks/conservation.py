"""Reconcile every record of every delivery by batch: for generated data and the three examples.

The records are counted anew from the files by Python's own readers, which share nothing with the suite's.
"""

import argparse
import bz2
import codecs
import csv
import gzip
import json
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from deltalake import DeltaTable

from benchmarks.examples import EXAMPLES
from benchmarks.figures import OUT, Figure
from benchmarks.process_monitor import watch
from benchmarks.truth import dirt
from crm_spark.sources.config import Source, load_sources
from crm_spark.sources.files import Files

SIZE = 100_000
BATCH = ["source", "entity", "batch_id"]


def run(arguments: argparse.Namespace) -> list[Figure]:
    """Ingest and clean each company into a new lake and check its reconciliation."""
    size = (arguments.customers or [SIZE])[0]
    company = OUT / f"conservation-{size}"
    shutil.rmtree(company, ignore_errors=True)
    watch([sys.executable, "jobs/generate.py", "--out", str(company), "--customers", str(size)])
    lake = _cleaned(Path("conf/company.yaml"), company / "drops", f"world-{size}")
    figures = of_lake(f"world of {size:,}", lake, company / "drops", load_sources(Path("conf/sources")))
    planted = ds.dataset(company / "truth" / "dirty_row").to_table().to_pandas()
    figures += dirt(_table(lake, "ops/quarantine"), planted, _table(lake, "ops/delivery"))
    data = arguments.data or os.environ.get("CRM_SPARK_EXAMPLES")
    if not data:
        print("examples skipped: neither --data nor CRM_SPARK_EXAMPLES is set", file=sys.stderr)
        return figures
    for name in EXAMPLES:
        conf, files = Path(f"conf/examples/{name}"), Path(data) / name
        lake = _cleaned(conf / "company.yaml", files, name)
        figures += of_lake(name, lake, files, load_sources(conf / "sources"))
    return figures


def _cleaned(conf: Path, data: Path, name: str) -> Path:
    lake = OUT / f"conservation-lake-{name}"
    shutil.rmtree(lake, ignore_errors=True)
    for job in ("ingest", "clean"):
        command = [sys.executable, f"jobs/{job}.py", "--conf", str(conf), "--lake", str(lake)]
        watch([*command, "--set", f"ingest.data_dir={data}"])
    return lake


def of_lake(label: str, lake: Path, data: Path, sources: Iterable[Source]) -> list[Figure]:
    """Return the number of records and batches, and of those that do not reconcile."""
    deliveries, statuses = _table(lake, "ops/delivery"), _table(lake, "ops/reconciliation")
    ingested = deliveries[deliveries.status == "ingested"]
    by_name = {source.name: source for source in sources}
    counted = [_num_records(data / row.file, by_name[row.source].files) for row in ingested.itertuples()]
    wrong_files = int((ingested.num_rows.to_numpy() != counted).sum())
    sizes = ingested.groupby(["source", "batch_id"]).num_rows.sum()
    in_full = [row for row in statuses.itertuples() if not by_name[row.source].feeds[row.entity].one_row_per_key]
    wrong_in = sum(1 for row in in_full if row.num_in != sizes[(row.source, row.batch_id)])
    num_lost = (statuses.num_in - statuses.num_accepted - statuses.num_quarantined - statuses.num_duplicate).abs().sum()
    standing = pd.concat([_by_batch(lake, entity) for entity in sorted(set(statuses.entity))])
    standing = pd.concat([standing, _superseded(lake)]).groupby(BATCH).size()
    accepted = statuses.set_index(BATCH).num_accepted
    wrong_silver = int((accepted - standing.reindex(accepted.index, fill_value=0) != 0).sum())
    listed = _table(lake, "ops/quarantine")
    aside = listed[listed.status == "quarantined"].groupby(BATCH).size()
    expected = statuses.set_index(BATCH).num_quarantined
    wrong_quarantine = int((expected - aside.reindex(expected.index, fill_value=0) != 0).sum())
    return [
        Figure(f"{label}: records in the files", sum(counted), "records"),
        Figure(f"{label}: entity batches", len(statuses), "batches"),
        Figure(f"{label}: files with records missing in bronze", wrong_files, "files", "== 0"),
        Figure(f"{label}: incompletely processed batches", wrong_in, "batches", "== 0"),
        Figure(f"{label}: rows without a status", float(num_lost), "rows", "== 0"),
        Figure(f"{label}: batches with accepted != silver + superseded", wrong_silver, "batches", "== 0"),
        Figure(f"{label}: batches with quarantined != rows in quarantine", wrong_quarantine, "batches", "== 0"),
    ]


def _table(lake: Path, name: str) -> pd.DataFrame:
    return DeltaTable(str(lake / name)).to_pyarrow_table().to_pandas()


def _by_batch(lake: Path, entity: str) -> pd.DataFrame:
    table = DeltaTable(str(lake / "silver" / entity)).to_pyarrow_dataset().to_table(columns=["source", "batch_id"])
    return table.to_pandas().assign(entity=entity)


def _superseded(lake: Path) -> pd.DataFrame:
    if not (lake / "ops" / "superseded").exists():
        return pd.DataFrame(columns=BATCH)
    return _table(lake, "ops/superseded")[BATCH]


def _num_records(path: Path, how: Files | None) -> int:
    assert how is not None
    if how.format == "parquet":
        return int(pq.read_metadata(path).num_rows)
    opener: Any = {".gz": gzip.open, ".bz2": bz2.open}.get(path.suffix, open)
    encoding = codecs.lookup(how.options.encoding).name
    with opener(path, "rt", encoding="utf-8-sig" if encoding == "utf-8" else encoding, newline="") as file:
        if how.format == "json":
            return len(json.load(file))
        if how.format == "jsonl":
            return sum(1 for line in file if line.strip())
        csv.field_size_limit(sys.maxsize)
        rows = csv.reader(file, delimiter=how.options.delimiter, quotechar=how.options.quote_character or None)
        return sum(1 for row in rows if row) - 1
