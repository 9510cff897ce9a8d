"""Records of source files, possible faults, and date and number formats."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Row = dict[str, Any]


@dataclass(frozen=True)
class Planted:
    """A possible fault: setting `column` to `value` triggers `reason`."""

    reason: str
    column: str
    value: Any


@dataclass(frozen=True)
class SourceFile:
    """Records of one source in one delivery.

    Attributes:
        source: source name, as in the configuration.
        format: csv, jsonl, jsonl.gz, csv.gz or parquet.
        columns: columns in file order.
        rows: one mapping per record.
        faults: possible faults, in addition to `malformed_record` and `exact_duplicate`.
        delimiter: CSV delimiter.
    """

    source: str
    format: str
    columns: tuple[str, ...]
    rows: list[Row]
    faults: tuple[Planted, ...] = ()
    delimiter: str = ","
    keys: list[int] = field(default_factory=list)
    """Stable number per record; seeds the fault draw."""


BERLIN = ZoneInfo("Europe/Berlin")


def local(moment: datetime) -> datetime:
    """Convert a naive UTC time to Europe/Berlin."""
    return moment.replace(tzinfo=UTC).astimezone(BERLIN)


def german_date(moment: datetime) -> str:
    """Format as 31.12.2024."""
    return local(moment).strftime("%d.%m.%Y")


def german_number(cents: int) -> str:
    """Format as 1234,50."""
    return f"{cents // 100},{cents % 100:02d}"


def iso_offset(moment: datetime) -> str:
    """Format as 2024-12-31T23:59:00+01:00."""
    return local(moment).isoformat(timespec="seconds")


def milliseconds(moment: datetime) -> int:
    """Epoch milliseconds of a naive UTC time."""
    return int(moment.replace(tzinfo=UTC).timestamp() * 1000)


def at(midnight: datetime, day: int, second: int) -> datetime:
    """UTC time of a simulation day and second."""
    return midnight + timedelta(days=day, seconds=second)
