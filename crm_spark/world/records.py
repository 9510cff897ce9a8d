"""Rows of a source file on their way to disk: cells by column, and which record tells what about the truth."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Row = dict[str, Any]


@dataclass(frozen=True)
class Planted:
    """How a source can be spoilt: reason code -> function of a row that plants it."""

    reason: str
    column: str
    value: Any


@dataclass(frozen=True)
class SourceFile:
    """One source's records in one delivery.

    Attributes:
        source: the source's name, which its configuration bears as well.
        format: csv, jsonl, jsonl.gz, csv.gz or parquet.
        columns: in the file's order.
        rows: one mapping per record.
        faults: what may be planted in this kind of record, besides `malformed_record` and `exact_duplicate`.
        delimiter: of a CSV.
    """

    source: str
    format: str
    columns: tuple[str, ...]
    rows: list[Row]
    faults: tuple[Planted, ...] = ()
    delimiter: str = ","
    keys: list[int] = field(default_factory=list)
    """One number per record that never changes: what the draw of a fault hangs on."""


BERLIN = ZoneInfo("Europe/Berlin")


def local(moment: datetime) -> datetime:
    """A UTC time as the clock on the wall in Berlin shows it."""
    return moment.replace(tzinfo=UTC).astimezone(BERLIN)


def german_date(moment: datetime) -> str:
    """31.12.2024."""
    return local(moment).strftime("%d.%m.%Y")


def german_number(cents: int) -> str:
    """1234,50."""
    return f"{cents // 100},{cents % 100:02d}"


def iso_offset(moment: datetime) -> str:
    """2024-12-31T23:59:00+01:00."""
    return local(moment).isoformat(timespec="seconds")


def milliseconds(moment: datetime) -> int:
    """Since 1970, UTC."""
    return int(moment.replace(tzinfo=UTC).timestamp() * 1000)


def at(midnight: datetime, day: int, second: int) -> datetime:
    """The moment a day and second of the world stand for, UTC."""
    return midnight + timedelta(days=day, seconds=second)
