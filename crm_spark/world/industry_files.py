"""Write the files of a small company of an industry, its truth, and the settings that refresh it."""

import csv
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from crm_spark.core.config import read_layered, validated
from crm_spark.core.errors import ConfigError
from crm_spark.world.industry import Customers, Row, contracts, day_on, draw_customers, event_rows, people, person_id
from crm_spark.world.industry_spec import FileSpec, IndustrySpec

_DOMAINS = Path("conf/domains")


def industries() -> list[str]:
    """Names of the industries that have a company."""
    return sorted(path.parent.name for path in _DOMAINS.glob("*/world.yaml"))


def load_industry(name: str, changes: Mapping[str, Any]) -> IndustrySpec:
    """Load the specification of an industry's company, with changed keys.

    Raises:
        ConfigError: there is no such industry, or a key is invalid.
    """
    if name not in industries():
        raise ConfigError(
            f"--industry: {name} has no conf/domains/{name}/world.yaml; known: {', '.join(industries())}."
        )
    path = _DOMAINS / name / "world.yaml"
    return validated(IndustrySpec, {**read_layered(path), **changes}, origin=str(path))


def generate_industry(name: str, spec: IndustrySpec, out: Path) -> dict[str, int]:
    """Write drops/*.csv, truth/*.csv and company.yaml; returns the number of rows of each file.

    Args:
        name: the industry.
        spec: its company.
        out: output folder.
    """
    rng = np.random.default_rng(spec.seed)
    customers = draw_customers(spec, rng)
    records: dict[str, list[Row]] = {"person": list(people(spec, customers, rng))}
    if spec.contract is not None:
        records["contract"] = list(contracts(spec, customers, rng))
    future: list[Row] = []
    for kind in sorted(spec.events):
        dated = list(event_rows(kind, spec, customers, rng))
        records[kind] = [row for day, row in dated if day < spec.history_days]
        future += [{"record": kind, **row} for day, row in dated if day >= spec.history_days]
    records["order_line"] = [line for row in records.get("order", []) for line in row["lines"]]
    (out / "drops").mkdir(parents=True, exist_ok=True)
    numbers = {}
    for file_name, file in spec.files.items():
        rows = _rows(records[file.of], file)
        numbers[file_name] = _write(out / "drops" / f"{file_name}.csv", list(file.columns), rows, file.delimiter)
    _write_truth(spec, customers, future, out / "truth")
    settings = {
        "extends": str((_DOMAINS / name / "settings.yaml").resolve()),
        "company": {"name": spec.name},
        "ingest": {
            "sources_dir": str((_DOMAINS / name / "sources").resolve()),
            "data_dir": str((out / "drops").resolve()),
        },
    }
    (out / "company.yaml").write_text(yaml.safe_dump(settings, sort_keys=False))
    return numbers


def _rows(records: Iterable[Row], file: FileSpec) -> Iterable[list[str]]:
    for record in records:
        yield [_cell(record.get(field), field, file) for field in file.columns.values()]


def _cell(value: Any, field: str, file: FileSpec) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.strftime(f"{file.day_format} %H:%M:%S")
    if isinstance(value, date):
        return value.strftime(file.day_format)
    if isinstance(value, float):
        return f"{value:.2f}".replace(".", "," if file.decimal_comma else ".")
    return file.words.get(field, {}).get(str(value), str(value))


def _write(path: Path, header: list[str], rows: Iterable[list[str]], delimiter: str = ",") -> int:
    written = list(rows)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream, delimiter=delimiter, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(written)
    return len(written)


def _write_truth(spec: IndustrySpec, customers: Customers, future: list[Row], folder: Path) -> None:
    """customers.csv: hidden parameters and the day of leaving; future.csv: events after the history."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = [
        [person_id(i), f"{mood:.4f}", f"{rate:.5f}", str(day_on(joined)), str(day_on(left))]
        for i, (mood, rate, joined, left) in enumerate(
            zip(customers.mood, customers.leaves_per_month, customers.join_day, customers.leave_day)
        )
    ]
    _write(folder / "customers.csv", ["person", "mood", "leaves_per_month", "joined_on", "leaves_on"], rows)
    after = [[row["record"], row["person"], str(row["at"].date()), row.get("status", "")] for row in future]
    _write(folder / "future.csv", ["record", "person", "on", "status"], after)
