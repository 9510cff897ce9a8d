"""Facts -> one HTML page that needs nothing else: styles, script and charts are inside it."""

import json
from importlib.resources import files
from pathlib import Path

import jinja2
from plotly.offline import get_plotlyjs

from crm_spark.sources.config import Source
from crm_spark.stages.report.facts import Facts
from crm_spark.stages.report.findings import findings, primary_entities
from crm_spark.stages.report.panels import PANELS, Panel, actions, churn_and_value, tiles

_ROOM = "crm_spark.stages.report"


def render(facts: Facts, sources: tuple[Source, ...], action_titles: dict[str, str]) -> str:
    """The page.

    Args:
        facts: what the lake says.
        sources: tell which entity has one row per record of a source.
        action_titles: what an action is called, by its name.
    """
    primary = primary_entities(sources)
    shown: list[Panel] = [make(facts, primary) for make in PANELS]
    shown.insert(PANELS.index(churn_and_value) + 1, actions(facts, primary, action_titles))
    figures = {f"{p.anchor}-{i}": chart.figure for p in shown for i, chart in enumerate(p.charts)}
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader(_ROOM, package_path="page"), autoescape=True, trim_blocks=True, lstrip_blocks=True
    )
    page = environment.get_template("report.html.j2")
    return page.render(
        facts=facts,
        findings=findings(facts, primary),
        tiles=tiles(facts),
        panels=shown,
        style=_text("style.css"),
        script=_text("page.js"),
        # No `<` inside the script: neither its end nor a comment that would swallow it.
        figures=json.dumps(figures).replace("<", "\\u003c"),
        plotly=get_plotlyjs(),
    )


def _text(name: str) -> str:
    return (files(_ROOM) / "page" / name).read_text(encoding="utf-8")


def write_page(page: str, path: Path) -> None:
    """Writes the page beside its place and moves it there: who opens it meanwhile sees the old one whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(page, encoding="utf-8")
    draft.replace(path)
