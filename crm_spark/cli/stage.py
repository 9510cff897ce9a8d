"""What every job's doorway calls: arguments, settings, lease, pipeline, exit code."""

import argparse
import sys
import uuid
from collections import Counter
from datetime import date
from pathlib import Path

from crm_spark.core.errors import ConfigError, ExitCode
from crm_spark.core.exit_codes import exit_code_after, exit_code_of
from crm_spark.core.lease import Lease
from crm_spark.core.log import get_logger

DEFAULT_CONF = "conf/local.yaml"


def main(stage: str | None = None, argv: list[str] | None = None) -> int:
    """Runs one stage, or all of them in order where `stage` is null.

    Returns:
        0 done, 2 bad configuration or input, 3 data refused by a gate, 4 another run holds the lease, 1 anything else.
    """
    arguments = _parser(stage).parse_args(argv)
    try:
        return exit_code_of(lambda: _run(stage, arguments))
    except KeyboardInterrupt:
        print("stopped; run the same command again to go on from here", file=sys.stderr)
        return ExitCode.FAILED


def _run(stage: str | None, arguments: argparse.Namespace) -> int:
    from crm_spark.settings import load_settings  # pydantic and pyspark: only once the arguments are right

    settings = load_settings(Path(arguments.conf), arguments.set)
    lake = arguments.lake or settings.lake
    if not lake:
        raise ConfigError("lake: missing; give --lake DIR or set it in the configuration.")
    run_id = uuid.uuid4().hex[:12]
    with Lease(lake, run_id=run_id, time_to_live_seconds=settings.lease_seconds) as lease:
        from crm_spark.pipeline import ON_REQUEST, STAGES, Pipeline

        pipeline = Pipeline(
            settings,
            lake=lake,
            as_of=arguments.as_of,
            is_dry_run=arguments.dry_run,
            committing=lease.committing,
            run_id=run_id,
        )
        wanted = STAGES if stage is None else tuple(s for s in (*STAGES, *ON_REQUEST) if s.name == stage)
        results = pipeline.run(wanted, is_forced=arguments.force)
    if stage is None:
        said = Counter(result.status for result in results.values())
        idle = said["unchanged"] + said["nothing"]
        get_logger().info(
            "refresh done: %d stages worked, %d were skipped, %d were up to date", said["done"], said["skipped"], idle
        )
    return exit_code_after(results.values())


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"wanted a day such as 2026-01-31, got {text!r}") from None


def _parser(stage: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=f"Runs {stage or 'every stage in order'}.")
    parser.add_argument("--conf", default=DEFAULT_CONF, help=f"configuration file (default {DEFAULT_CONF})")
    parser.add_argument("--lake", help="folder or URI of the lake")
    parser.add_argument("--as-of", type=_day, metavar="DATE", help="logical date; default: the day of the newest event")
    parser.add_argument("--dry-run", action="store_true", help="plan and check, write nothing")
    parser.add_argument("--force", action="store_true", help="run also what is up to date")
    parser.add_argument("--set", action="append", default=[], metavar="section.key=value", help="overrides one setting")
    return parser
