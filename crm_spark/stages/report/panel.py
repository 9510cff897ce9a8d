"""Building blocks of a report section."""

from dataclasses import dataclass, field

from crm_spark.stages.report import charts


@dataclass(frozen=True)
class Table:
    """Header and rows as text; columns from `numeric_from` on are right-aligned."""

    header: list[str]
    rows: list[list[str]]
    numeric_from: int = 1


@dataclass(frozen=True)
class Chart:
    """A Plotly figure with title, alternative text for screen readers, and its data as a table."""

    title: str
    figure: charts.Figure
    alt: str
    table: Table


@dataclass(frozen=True)
class Panel:
    """A section of the page. Without data for it, `lead` states the reason and the lists are empty."""

    anchor: str
    title: str
    lead: str
    charts: list[Chart] = field(default_factory=list)
    tables: list[tuple[str, Table]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
