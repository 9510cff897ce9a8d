"""Planted faults: which records are spoilt, how, and where they then stand."""

from dataclasses import dataclass

import numpy as np

from crm_spark.world.draws import Draws
from crm_spark.world.records import Row, SourceFile
from crm_spark.world.spec import WorldSpec

MALFORMED, REPEATED = "malformed_record", "exact_duplicate"


@dataclass(frozen=True)
class Record:
    """A record as written: cells, or a raw line that cannot be split."""

    row: Row
    raw: str | None = None


def soiled(spec: WorldSpec, file: SourceFile) -> tuple[list[Record], list[tuple[int, str]]]:
    """The records with their faults, and (record number from 0, reason) of each fault.

    A record has one fault at most. A repeat follows its original; the second of the two is the fault.
    """
    if not file.faults:
        return [Record(row) for row in file.rows], []
    keys = np.array(file.keys, dtype=np.int64)
    draw = Draws(spec.seed)
    is_dirty = draw.uniform(f"{file.source} dirty", keys) < spec.dirty_fraction
    reasons = [fault.reason for fault in file.faults] + [REPEATED] + ([] if file.format == "parquet" else [MALFORMED])
    which = draw.index(f"{file.source} fault", len(reasons), keys)
    records: list[Record] = []
    planted: list[tuple[int, str]] = []
    for row, dirty, choice in zip(file.rows, is_dirty, which):
        if not dirty:
            records.append(Record(row))
        elif reasons[choice] == REPEATED:
            records += [Record(row), Record(row)]
            planted.append((len(records) - 1, REPEATED))
        elif reasons[choice] == MALFORMED:
            records.append(Record(row, raw=_broken(file, row)))
            planted.append((len(records) - 1, MALFORMED))
        else:
            fault = file.faults[choice]
            records.append(Record({**row, fault.column: fault.value}))
            planted.append((len(records) - 1, fault.reason))
    return records, planted


def _broken(file: SourceFile, row: Row) -> str:
    """A line that lost its end: one cell of a CSV, half an object of JSON."""
    first = str(row[file.columns[0]])
    return first if file.format.startswith("csv") else f'{{"{file.columns[0]}": "{first}", "'
