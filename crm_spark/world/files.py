"""Write records in the source's file format, deterministically and atomically."""

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet as pq

from crm_spark.world.dirt import Record
from crm_spark.world.records import SourceFile


def write_file(file: SourceFile, records: list[Record], path: Path) -> int:
    """Write the records to `path` and return the number of bytes."""
    if file.format == "parquet":
        content = _parquet(file, records)
    else:
        text = _csv(file, records) if file.format.startswith("csv") else _jsonl(file, records)
        content = text.encode("utf-8")
    if file.format.endswith(".gz"):
        content = gzip.compress(content, compresslevel=6, mtime=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.tmp")
    draft.write_bytes(content)
    draft.replace(path)
    return len(content)


def _csv(file: SourceFile, records: list[Record]) -> str:
    out = io.StringIO(newline="")
    writer = csv.writer(out, delimiter=file.delimiter, lineterminator="\n")
    writer.writerow(file.columns)
    for record in records:
        if record.raw is not None:
            out.write(f"{record.raw}\n")
        else:
            writer.writerow([record.row[name] for name in file.columns])
    return out.getvalue()


def _jsonl(file: SourceFile, records: list[Record]) -> str:
    lines = [
        r.raw if r.raw is not None else json.dumps({n: r.row[n] for n in file.columns}, ensure_ascii=False)
        for r in records
    ]
    return "".join(f"{line}\n" for line in lines)


def _parquet(file: SourceFile, records: list[Record]) -> bytes:
    # A column of integers is stored as int64, all others as strings.
    columns = {}
    for name in file.columns:
        cells = [record.row[name] for record in records]
        is_number = any(isinstance(cell, int) for cell in cells) and all(
            cell is None or isinstance(cell, int) for cell in cells
        )
        columns[name] = (
            pa.array(cells, pa.int64())
            if is_number
            else pa.array([None if c is None else str(c) for c in cells], pa.string())
        )
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out, compression="snappy")
    return out.getvalue()
