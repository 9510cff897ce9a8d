"""Render the facts as one self-contained HTML page with styles, scripts and charts."""

import json
import math
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from plotly.offline import get_plotlyjs

from crm_spark.sources.config import Source
from crm_spark.stages.report.customers_panel import actions, customers_at_risk
from crm_spark.stages.report.facts import Facts
from crm_spark.stages.report.findings import findings, primary_entities
from crm_spark.stages.report.panel import Panel
from crm_spark.stages.report.panels import PANELS, key_figures

_PACKAGE = "crm_spark.stages.report"


def render(facts: Facts, sources: tuple[Source, ...], action_titles: dict[str, str]) -> str:
    """Return the page as HTML.

    Args:
        facts: figures to show.
        sources: configured sources.
        action_titles: display title of each action by name.
    """
    primary = primary_entities(sources)
    panels: list[Panel] = [build(facts, primary) for build in PANELS]
    panels.insert(PANELS.index(customers_at_risk) + 1, actions(facts, primary, action_titles))
    figures = {f"{p.anchor}-{i}": chart.figure for p in panels for i, chart in enumerate(p.charts)}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(_PACKAGE, package_path="page"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("report.html.j2")
    return page.render(
        facts=facts,
        findings=findings(facts, primary),
        key_figures=key_figures(facts),
        panels=panels,
        style=_text("style.css"),
        script=_text("page.js"),
        # Escape `<` so that no text can close the script element or open a comment in it.
        figures=json.dumps(_finite(figures), allow_nan=False).replace("<", "\\u003c"),
        plotly=get_plotlyjs(),
    )


def _finite(value: Any) -> Any:
    """Return chart data with null for numbers that are not finite: JSON has none, and Plotly leaves a gap for null."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _text(name: str) -> str:
    return (files(_PACKAGE) / "page" / name).read_text(encoding="utf-8")


def write_page(page: str, path: Path) -> None:
    """Write the page atomically: a reader sees the old page or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(page, encoding="utf-8")
    draft.replace(path)
