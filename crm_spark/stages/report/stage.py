"""Report stage: write the figures of the lake as one self-contained HTML page."""

import json
from pathlib import Path
from typing import Any

from crm_spark.contracts.features import TABLES as FEATURE_TABLES
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.ops import DELIVERY, DRIFT, METRIC, QUARANTINE, RECONCILIATION
from crm_spark.contracts.silver import PRODUCT
from crm_spark.core.config import read_yaml
from crm_spark.core.context import JobContext, StageResult
from crm_spark.core.stage import Stage
from crm_spark.core.uris import is_remote
from crm_spark.features.declarations import features_of
from crm_spark.models.registry import current_version, models_dir, open_model, serving_order
from crm_spark.sources.config import load_sources
from crm_spark.stages.report.facts import collect_facts
from crm_spark.stages.report.findings import findings, primary_entities
from crm_spark.stages.report.render import render, write_page

INPUTS = (*FEATURE_TABLES, CUSTOMER, CUSTOMER_LINK, PRODUCT, RECONCILIATION, DELIVERY, DRIFT, METRIC, QUARANTINE)


def inputs(ctx: JobContext) -> dict[str, Any]:
    """Return action titles, entities of the sources and the text model in production."""
    sources = primary_entities(load_sources(Path(ctx.settings.ingest.sources_dir)))
    return {
        "titles": action_titles(ctx),
        "sources": sources,
        "model": current_version(ctx.files_root),
        "reasons": features_of(ctx).reasons,
    }


def action_titles(ctx: JobContext) -> dict[str, str]:
    """Return the title of each action in the strategy, by name."""
    strategy = read_yaml(Path(ctx.settings.decide.strategy))
    return {action["name"]: action["title"] for action in strategy.get("actions", [])}


def must_run(ctx: JobContext) -> bool:
    """Return whether the page is missing."""
    return not page_path(ctx).exists()


def page_path(ctx: JobContext) -> Path:
    """Return the path of the page."""
    return Path(ctx.files_root) / ctx.settings.report.file_name


def run(ctx: JobContext) -> StageResult:
    """Collect the facts and write the page and findings.json."""
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
        time_zone=company.time_zone,
        declared_reasons=features_of(ctx).reasons,
        words=company.words,
        churn=company.churn,
    )
    sources = load_sources(Path(ctx.settings.ingest.sources_dir))
    page, path = render(facts, sources, action_titles(ctx)), page_path(ctx)
    if not ctx.is_dry_run:
        write_page(json.dumps(findings(facts, primary_entities(sources)), indent=1), path.with_name("findings.json"))
        write_page(page, path)
    place = f"{ctx.tables.root}/files/{path.name}" if is_remote(ctx.tables.root) else path
    return StageResult(1, note=f"{place} ({len(page) / 1e6:.1f} MB)")


STAGE = Stage("report", run, reads=INPUTS, inputs=inputs, must_run=must_run)
