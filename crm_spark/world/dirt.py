"""Inject faults into records and report their positions."""

from dataclasses import dataclass

import numpy as np

from crm_spark.world.draws import Draws
from crm_spark.world.records import Row, SourceFile
from crm_spark.world.spec import WorldSpec

MALFORMED, DUPLICATE = "malformed_record", "exact_duplicate"


@dataclass(frozen=True)
class Record:
    """A record to write: cells, or a raw malformed line."""

    row: Row
    raw: str | None = None


def with_faults(spec: WorldSpec, file: SourceFile) -> tuple[list[Record], list[tuple[int, str]]]:
    """Inject faults; return the records and (zero-based position, reason code) of each fault.

    A record has at most one fault. A duplicate follows its original and is the faulty one.
    """
    if not file.faults:
        return [Record(row) for row in file.rows], []
    keys = np.array(file.keys, dtype=np.int64)
    draw = Draws(spec.seed)
    is_dirty = draw.uniform(f"{file.source} dirty", keys) < spec.dirty_fraction
    reasons = [fault.reason for fault in file.faults] + [DUPLICATE] + ([] if file.format == "parquet" else [MALFORMED])
    which = draw.index(f"{file.source} fault", len(reasons), keys)
    records: list[Record] = []
    planted: list[tuple[int, str]] = []
    for row, dirty, choice in zip(file.rows, is_dirty, which):
        if not dirty:
            records.append(Record(row))
        elif reasons[choice] == DUPLICATE:
            records += [Record(row), Record(row)]
            planted.append((len(records) - 1, DUPLICATE))
        elif reasons[choice] == MALFORMED:
            records.append(Record(row, raw=_broken(file, row)))
            planted.append((len(records) - 1, MALFORMED))
        else:
            fault = file.faults[choice]
            records.append(Record({**row, fault.column: fault.value}))
            planted.append((len(records) - 1, fault.reason))
    return records, planted


def _broken(file: SourceFile, row: Row) -> str:
    """A truncated line: one cell of a CSV row, or part of a JSON object."""
    first = str(row[file.columns[0]])
    return first if file.format.startswith("csv") else f'{{"{file.columns[0]}": "{first}", "'
