"""`crm-spark demo`: a generated company through every stage, then the findings and the path of the report."""

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from crm_spark.core.exit_codes import exit_code_after, exit_code_of
from crm_spark.core.lease import Lease
from crm_spark.core.log import get_logger

CONF, WORLD = "conf/demo.yaml", "conf/world.yaml"


def add_to(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", help="Run a generated company through every stage and print what was found.")(_demo)


def _demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Directory of the company and its lake.")] = Path(
        "build/demo"
    ),
    customers: Annotated[int, typer.Option(help="Number of customers.")] = 2000,
) -> None:
    raise typer.Exit(exit_code_of(lambda: run(out.resolve(), customers)))


def run(out: Path, customers: int) -> int:
    """Generate the company if it does not exist, refresh its lake, and print the findings."""
    from crm_spark.core.config import read_layered, validated
    from crm_spark.core.files import files_root
    from crm_spark.core.session import build_session
    from crm_spark.pipeline import Pipeline
    from crm_spark.settings import load_settings
    from crm_spark.world.engine import generate
    from crm_spark.world.plan import plan
    from crm_spark.world.spec import WorldSpec

    started = time.monotonic()
    spec = validated(WorldSpec, {**read_layered(Path(WORLD)), "customers": customers}, origin=WORLD)
    company = out / f"company-{customers}"
    settings = load_settings(Path(CONF), [f"ingest.data_dir={company / 'drops'}"])
    spark = build_session(settings.session, app_name="crm_spark demo")
    marker = company / "spec.json"
    if not marker.exists() or marker.read_text() != spec.model_dump_json():
        totals = generate(spark, spec, plan(spec), str(company))
        marker.write_text(spec.model_dump_json())
        num_records = sum(records for records, _ in totals.values())
        get_logger().info(
            "%-10s %-7s %10d rows %7.1f s  %d customers, %d sources",
            *("generate", "done", num_records, time.monotonic() - started, customers, len(totals)),
        )
    lake = str(out / f"lake-{customers}")
    with Lease(lake, run_id="demo") as lease:
        results = Pipeline(settings, lake=lake, committing=lease.committing).run()
    folder = files_root(lake)
    print()
    for sentence in json.loads((folder / "findings.json").read_text()):
        print(f"- {sentence}")
    print(f"\nReport: {folder / settings.report.file_name}   ({time.monotonic() - started:.0f} s)")
    return exit_code_after(results.values())
