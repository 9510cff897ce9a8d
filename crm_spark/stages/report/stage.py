"""Report: the lake's figures -> one self-contained HTML page."""

import json
from pathlib import Path
from typing import Any

from crm_spark.contracts.features import TABLES as MADE
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.ops import DELIVERY, DRIFT, METRIC, QUARANTINE, RECONCILIATION
from crm_spark.contracts.silver import PRODUCT
from crm_spark.core.config import read_yaml
from crm_spark.core.context import JobContext, StageResult
from crm_spark.core.stage import Stage
from crm_spark.models.registry import current_version, models_dir, open_model, serving_order
from crm_spark.sources.config import load_sources
from crm_spark.stages.report.facts import collect_facts
from crm_spark.stages.report.findings import findings, primary_entities
from crm_spark.stages.report.render import render, write_page

INPUTS = (*MADE, CUSTOMER, CUSTOMER_LINK, PRODUCT, RECONCILIATION, DELIVERY, DRIFT, METRIC, QUARANTINE)


def inputs(ctx: JobContext) -> dict[str, Any]:
    """What the actions are called, what the sources feed, and the model whose readings are shown."""
    sources = primary_entities(load_sources(Path(ctx.settings.ingest.sources_dir)))
    return {"titles": action_titles(ctx), "sources": sources, "model": current_version(ctx.files_root)}


def action_titles(ctx: JobContext) -> dict[str, str]:
    """The strategy's words for its actions, by name."""
    strategy = read_yaml(Path(ctx.settings.decide.strategy))
    return {action["name"]: action["title"] for action in strategy.get("actions", [])}


def must_run(ctx: JobContext) -> bool:
    """A page that was deleted is made again."""
    return not page_path(ctx).exists()


def page_path(ctx: JobContext) -> Path:
    """Where the page lies."""
    return Path(ctx.files_root) / ctx.settings.report.file_name


def run(ctx: JobContext) -> StageResult:
    """Reads the facts and writes the page."""
    company, version = ctx.settings.company, current_version(ctx.files_root)
    facts = collect_facts(
        ctx.tables,
        company=company.name,
        currency=company.currency,
        horizon_days=company.horizon_days,
        as_of=ctx.as_of,
        model=open_model(models_dir(ctx.files_root) / version) if version else None,
        versions=serving_order(ctx.files_root),
        map_points=ctx.settings.report.map_points,
        min_customers_per_cell=ctx.settings.report.min_customers_per_cell,
        seed=ctx.seed,
    )
    sources = load_sources(Path(ctx.settings.ingest.sources_dir))
    page, path = render(facts, sources, action_titles(ctx)), page_path(ctx)
    if not ctx.is_dry_run:
        write_page(json.dumps(findings(facts, primary_entities(sources)), indent=1), path.with_name("findings.json"))
        write_page(page, path)
    return StageResult(1, note=f"{path} ({len(page) / 1e6:.1f} MB)")


STAGE = Stage("report", run, reads=INPUTS, inputs=inputs, must_run=must_run)
