"""`crm-spark refresh`, and a command for each stage."""

import sys
import uuid
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from crm_spark.cli.observation import observed
from crm_spark.cli.options import DEFAULT_CONF, AsOf, Conf, ConfiguredLake, DryRun, Overrides
from crm_spark.core.errors import ConfigError, ExitCode
from crm_spark.core.exit_codes import exit_code_after, exit_code_of
from crm_spark.core.failures import Progress, reported
from crm_spark.core.log import get_logger, set_log_format
from crm_spark.stages import ON_REQUEST_SUMMARIES, STAGE_SUMMARIES

Force = Annotated[bool, typer.Option("--force", help="Compute and write again what is up to date.")]
Retrain = Annotated[
    bool, typer.Option("--retrain", help="Fit the models again, although their policy would keep them.")
]


def add_to(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("refresh", help="Run every stage in order, those with something new to do.")(_command(None))
    for name, summary in (STAGE_SUMMARIES | ON_REQUEST_SUMMARIES).items():
        app.command(name, help=summary)(_command(name))


def _command(stage: str | None) -> Callable[..., None]:
    def run(
        conf: Conf = DEFAULT_CONF,
        lake: ConfiguredLake = None,
        as_of: AsOf = None,
        dry_run: DryRun = False,
        force: Force = False,
        retrain: Retrain = False,
        overrides: Overrides = None,
    ) -> None:
        def work() -> int:
            return run_stages(
                stage,
                conf,
                overrides or [],
                lake=lake,
                as_of=as_of,
                is_dry_run=dry_run,
                is_forced=force,
                is_retraining=retrain,
            )

        try:
            raise typer.Exit(exit_code_of(work))
        except KeyboardInterrupt:
            print("stopped; run the same command again to resume", file=sys.stderr)
            raise typer.Exit(ExitCode.FAILED) from None

    return run


def run_stages(
    stage: str | None,
    conf: Path,
    overrides: list[str],
    *,
    lake: str | None = None,
    as_of: date | None = None,
    is_dry_run: bool = False,
    is_forced: bool = False,
    is_retraining: bool = False,
) -> int:
    """Run one stage, or all of them in order if `stage` is None, under the lease of the lake.

    Returns:
        0 done, 3 data blocked by an expectation.
    """
    from crm_spark.core.files import files_root
    from crm_spark.core.session import build_session
    from crm_spark.core.uri_lease import lease_of
    from crm_spark.settings import load_settings

    settings = load_settings(conf, overrides)
    set_log_format(settings.log_format)
    lake = lake or settings.lake
    if not lake:
        raise ConfigError("lake: missing; give --lake DIR or set it in the configuration.")
    if is_retraining and stage is not None:
        _require_model(stage)
    run_id = uuid.uuid4().hex[:12]
    lease_held = lease_of(
        lake,
        spark=lambda: build_session(settings.session, app_name="crm_spark"),
        run_id=run_id,
        time_to_live_seconds=settings.lease_seconds,
    )
    with lease_held as lease, ExitStack() as stack:
        from crm_spark.pipeline import STAGES, Pipeline

        stages = STAGES if stage is None else (stage,)
        reporting = (
            nullcontext(Progress()) if is_dry_run else reported(settings.alerts, files_root(lake), run_id, stages)
        )
        with reporting as run, observed(settings.telemetry, lake, is_dry_run=is_dry_run) as observation:
            pipeline = run.pipeline = observation.pipeline = Pipeline(
                settings,
                lake=lake,
                as_of=as_of,
                is_dry_run=is_dry_run,
                committing=lease.committing,
                run_id=run_id,
                observers=observation.observers,
            )
            if not is_dry_run:
                stack.callback(pipeline.publish_files)  # also the record of a failure
            results = pipeline.run(stages, is_forced=is_forced, is_retraining=is_retraining)
            run.blocked = {name: result.blocked for name, result in results.items() if result.blocked}
            observation.exit_code = exit_code_after(results.values())
    if stage is None:
        number = Counter(result.status for result in results.values())
        up_to_date = number["up_to_date"] + number["no_new_input"]
        get_logger().info(
            "refresh done: %d stages ran, %d were skipped, %d were up to date",
            *(number["done"], number["skipped"], up_to_date),
        )
    return exit_code_after(results.values())


def _require_model(stage: str) -> None:
    from crm_spark.pipeline.stages import load_stage

    if not load_stage(stage).fits_model:
        raise ConfigError(f"--retrain: {stage} fits no model. Give the option to refresh, or to a stage that fits one.")
