"""`crm-spark preview`: what the mappings make of a company's files, before a lake is filled."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from crm_spark.cli.options import DEFAULT_CONF, Conf, Overrides
from crm_spark.core.exit_codes import exit_code_of
from crm_spark.core.log import get_logger

Out = Annotated[Path | None, typer.Option(metavar="FILE", help="Markdown file; default: preview.md beside --conf.")]


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    help = (
        "Read a company's files into a temporary lake and show what its mappings make of them: rows by status, reasons for "
        "quarantine, matches between sources, revenue by month, and records before and after mapping, with personal values masked."
    )
    app.command("preview", help=help)(_preview)


def _preview(conf: Conf = DEFAULT_CONF, out: Out = None, overrides: Overrides = None) -> None:
    raise typer.Exit(exit_code_of(lambda: run(conf, overrides or [], out or conf.parent / "preview.md")))


def run(conf: Path, overrides: list[str], out: Path) -> int:
    """Write the preview and print all of it but the records.

    Raises:
        ConfigError: the configuration is invalid.
    """
    from crm_spark.onboarding.preview import preview, without_records
    from crm_spark.pipeline import Pipeline
    from crm_spark.quality.rules import load_rules
    from crm_spark.settings import load_settings
    from crm_spark.sources.config import load_sources

    settings = load_settings(conf, overrides)
    sources = load_sources(Path(settings.ingest.sources_dir))
    rules = load_rules(settings.clean.rules_dir, settings.clean.more_rules_dir).rules
    with TemporaryDirectory() as lake:
        pipeline = Pipeline(settings, lake=lake)
        pipeline.run(("ingest", "clean"))
        company = settings.company
        text = preview(pipeline.tables, sources, rules, currency=company.currency, zone=company.time_zone)
    out.write_text(text, encoding="utf-8")
    get_logger().info("wrote %s", out)
    print(without_records(text))
    return 0
