"""The generator's command line."""

import argparse
import time
from pathlib import Path

from crm_spark.core.config import parse_overrides, read_layered, validated
from crm_spark.core.errors import ConfigError, ExitCode
from crm_spark.core.exit_codes import exit_code_of
from crm_spark.core.log import get_logger
from crm_spark.world.plan import plan
from crm_spark.world.spec import WorldSpec

DEFAULT_CONF = "conf/world.yaml"


def main(argv: list[str] | None = None) -> int:
    """Generates a company; exit codes as in `ExitCode`."""
    arguments = _parser().parse_args(argv)
    return exit_code_of(lambda: _run(arguments))


def _run(arguments: argparse.Namespace) -> int:
    asked = {
        name: value
        for name in ("customers", "days", "from_day", "seed")
        if (value := getattr(arguments, name)) is not None
    }
    content = {**read_layered(Path(arguments.conf)), **parse_overrides(arguments.set), **asked}
    spec = validated(WorldSpec, content, origin=arguments.conf)
    if spec.from_day > spec.days:
        raise ConfigError(f"from_day: {spec.from_day} lies after the last delivery; give at most days = {spec.days}.")
    tasks = plan(spec)
    if arguments.dry_run:
        for task in tasks:
            print(f"{task.folder}: days {task.first} to {task.last - 1} of block {task.block}")
        return ExitCode.DONE
    from crm_spark.core.session import SessionConfig, build_session
    from crm_spark.world.engine import generate

    started = time.monotonic()
    spark = build_session(SessionConfig(master=arguments.master), app_name="generate")
    totals = generate(spark, spec, tasks, str(Path(arguments.out).resolve()))
    for source, (records, size) in totals.items():
        get_logger().info("generate   %-20s %10d records %9.1f MB", source, records, size / 1e6)
    get_logger().info(
        "generate   %d customers, %d deliveries, %.1f s",
        spec.customers,
        spec.days + 1 - spec.from_day,
        time.monotonic() - started,
    )
    return ExitCode.DONE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Generates a synthetic company whose truth is known.")
    parser.add_argument(
        "--out", required=True, help="folder for drops/ (what the stages read) and truth/ (what none reads)"
    )
    parser.add_argument("--conf", default=DEFAULT_CONF)
    parser.add_argument("--customers", type=int)
    parser.add_argument("--days", type=int, help="daily deliveries after the history")
    parser.add_argument("--from-day", type=int, help="first delivery to write; 0 is the history")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--set", action="append", default=[], metavar="key=value")
    parser.add_argument("--master", default="local[2,4]", help="Spark master of a run without spark-submit")
    parser.add_argument("--dry-run", action="store_true", help="print the plan, write nothing")
    return parser
