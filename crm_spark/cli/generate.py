"""`crm-spark generate`: files of a synthetic company whose true customers, segments and churn are known."""

import time
from pathlib import Path
from typing import Annotated

import typer

from crm_spark.cli.options import Conf, DryRun
from crm_spark.core.config import merged, parse_overrides, read_layered, validated
from crm_spark.core.errors import ConfigError, ExitCode
from crm_spark.core.exit_codes import exit_code_of
from crm_spark.core.log import get_logger
from crm_spark.world.plan import plan
from crm_spark.world.spec import WorldSpec

_CONF = Path("conf/world.yaml")


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("generate", help="Generate a synthetic company with known ground truth.")(_generate)


def _generate(
    out: Annotated[
        Path,
        typer.Option(
            metavar="DIR",
            help="Output folder: drops/ (input files) and truth/ (ground truth, not read by any stage).",
        ),
    ],
    conf: Conf = _CONF,
    industry: Annotated[
        str | None,
        typer.Option(
            help="A small company of an industry instead, with company.yaml for `refresh --conf`: a folder of conf/domains. "
            "Takes --customers, --seed and --set.",
        ),
    ] = None,
    customers: Annotated[int | None, typer.Option(help="Number of customers.")] = None,
    days: Annotated[int | None, typer.Option(help="Number of daily deliveries after the initial history.")] = None,
    from_day: Annotated[int | None, typer.Option(help="First delivery to write; 0 is the initial history.")] = None,
    seed: Annotated[int | None, typer.Option(help="Random seed.")] = None,
    overrides: Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override one key.")] = None,
    master: Annotated[str, typer.Option(help="Spark master; pass an empty text under spark-submit.")] = "local[2,4]",
    dry_run: DryRun = False,
) -> None:
    options = {"customers": customers, "days": days, "from_day": from_day, "seed": seed}
    options_set = {name: value for name, value in options.items() if value is not None}
    if industry is not None:
        raise typer.Exit(exit_code_of(lambda: _run_industry(industry, out, overrides or [], options_set, dry_run)))
    raise typer.Exit(exit_code_of(lambda: _run(out, conf, overrides or [], options_set, master, is_dry_run=dry_run)))


def _run_industry(industry: str, out: Path, overrides: list[str], options_set: dict[str, int], is_dry_run: bool) -> int:
    from crm_spark.world.industry_files import generate_industry, load_industry

    spec = load_industry(industry, {**parse_overrides(overrides), **options_set})
    if is_dry_run:
        for name, file in spec.files.items():
            print(f"drops/{name}.csv: {file.of}")
        return ExitCode.DONE
    log = get_logger()
    for name, number in generate_industry(industry, spec, out).items():
        log.info("generate   %-20s %10d records", name, number)
    log.info("generate   %d customers, %d days; settings: %s", spec.customers, spec.history_days, out / "company.yaml")
    return ExitCode.DONE


def _run(
    out: Path, conf: Path, overrides: list[str], options_set: dict[str, int], master: str, *, is_dry_run: bool
) -> int:
    content = merged(merged(read_layered(conf), parse_overrides(overrides)), options_set)
    spec = validated(WorldSpec, content, origin=str(conf))
    if spec.from_day > spec.days:
        raise ConfigError(f"from_day: {spec.from_day} is after the last delivery; expected 0 to {spec.days}.")
    tasks = plan(spec)
    if is_dry_run:
        for task in tasks:
            print(f"{task.folder}: customer block {task.block}, days {task.first} to {task.last - 1}")
        return ExitCode.DONE
    from crm_spark.core.session import SessionConfig, build_session
    from crm_spark.world.engine import generate

    started = time.monotonic()
    spark = build_session(SessionConfig(master=master), app_name="generate")
    totals = generate(spark, spec, tasks, str(out.resolve()))
    log = get_logger()
    for source, (records, size) in totals.items():
        log.info("generate   %-20s %10d records %9.1f MB", source, records, size / 1e6)
    num_deliveries = spec.days + 1 - spec.from_day
    seconds = time.monotonic() - started
    log.info("generate   %d customers, %d deliveries, %.1f s", spec.customers, num_deliveries, seconds)
    return ExitCode.DONE
