"""Report: the lake's figures -> one self-contained HTML page."""

import json
from pathlib import Path
from typing import Any

from crm_spark.contracts.features import TABLES as MADE
from crm_spark.contracts.gold import CUSTOMER, CUSTOMER_LINK
from crm_spark.contracts.ops import BATCH_FATE, DELIVERY, DRIFT, METRIC, QUARANTINE
from crm_spark.contracts.silver import PRODUCT
from crm_spark.contracts.source import load_sources
from crm_spark.core.config import read_yaml
from crm_spark.core.context import JobContext, StageResult
from crm_spark.stages.report.facts import collect_facts
from crm_spark.stages.report.findings import findings, primary_nouns
from crm_spark.stages.report.render import render, write_page
from crm_spark.text.bundle import bundles_dir, current_version, open_bundle, reading_order

INPUTS = (*MADE, CUSTOMER, CUSTOMER_LINK, PRODUCT, BATCH_FATE, DELIVERY, DRIFT, METRIC, QUARANTINE)


def inputs(ctx: JobContext) -> dict[str, Any]:
    """What the actions are called, what the sources feed, and the bundle whose readings are shown."""
    sources = primary_nouns(load_sources(Path(ctx.settings.ingest.sources_dir)))
    return {"titles": action_titles(ctx), "sources": sources, "bundle": current_version(ctx.files_root)}


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
        bundle=open_bundle(bundles_dir(ctx.files_root) / version) if version else None,
        versions=reading_order(ctx.files_root),
        map_points=ctx.settings.report.map_points,
        least_customers=ctx.settings.report.least_customers,
        seed=ctx.seed,
    )
    sources = load_sources(Path(ctx.settings.ingest.sources_dir))
    page, path = render(facts, sources, action_titles(ctx)), page_path(ctx)
    if not ctx.is_dry_run:
        write_page(json.dumps(findings(facts, primary_nouns(sources)), indent=1), path.with_name("findings.json"))
        write_page(page, path)
    return StageResult(1, note=f"{path} ({len(page) / 1e6:.1f} MB)")
