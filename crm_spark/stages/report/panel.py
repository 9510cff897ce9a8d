"""What a section of the page is made of."""

from dataclasses import dataclass, field

from crm_spark.stages.report import charts


@dataclass(frozen=True)
class Table:
    """Header and rows, as texts; columns from `numeric_from` on are aligned as numbers."""

    header: list[str]
    rows: list[list[str]]
    numeric_from: int = 1


@dataclass(frozen=True)
class Chart:
    """A figure with its title, what it shows in words for those who do not see it, and its numbers as a table."""

    title: str
    figure: charts.Figure
    alt: str
    table: Table


@dataclass(frozen=True)
class Panel:
    """A section of the page; `is_empty` with the reason in `lead` where this company has no such data."""

    anchor: str
    title: str
    lead: str
    charts: list[Chart] = field(default_factory=list)
    tables: list[tuple[str, Table]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
