"""`make demo`: a generated company through every stage, then where the report is and what it found."""

import argparse
import json
import sys
import time
from pathlib import Path

from crm_spark.core.exit_codes import exit_code_after, exit_code_of
from crm_spark.core.lease import Lease
from crm_spark.core.log import get_logger

CONF, WORLD = "conf/demo.yaml", "conf/world.yaml"


def main(argv: list[str] | None = None) -> int:
    """Generates, refreshes, and prints the findings; a second run does only what is new."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", default="build/demo")
    parser.add_argument("--customers", type=int, default=2000)
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: _run(Path(arguments.out).resolve(), arguments.customers))


def _run(out: Path, customers: int) -> int:
    from crm_spark.core.config import read_layered, validated
    from crm_spark.core.session import build_session
    from crm_spark.pipeline import Pipeline, files_root
    from crm_spark.settings import load_settings
    from crm_spark.world.engine import generate
    from crm_spark.world.plan import plan
    from crm_spark.world.spec import WorldSpec

    started = time.monotonic()
    spec = validated(WorldSpec, {**read_layered(Path(WORLD)), "customers": customers}, origin=WORLD)
    company = out / f"company-{customers}"
    settings = load_settings(Path(CONF), [f"ingest.data_dir={company / 'drops'}"])
    spark = build_session(settings.session, app_name="crm_spark demo")
    mark = company / "spec.json"
    if not mark.exists() or mark.read_text() != spec.model_dump_json():
        totals = generate(spark, spec, plan(spec), str(company))
        mark.write_text(spec.model_dump_json())
        num = sum(records for records, _ in totals.values())
        seconds = time.monotonic() - started
        get_logger().info(
            "%-10s %-7s %10d rows %7.1f s  %d customers, %d sources",
            "generate",
            "done",
            num,
            seconds,
            customers,
            len(totals),
        )
    lake = str(out / f"lake-{customers}")
    with Lease(lake, run_id="demo") as lease:
        results = Pipeline(settings, lake=lake, committing=lease.committing).run()
    folder = files_root(lake)
    print()
    for sentence in json.loads((folder / "findings.json").read_text()):
        print(f"- {sentence}")
    print(f"\nThe report: {folder / settings.report.file_name}   ({time.monotonic() - started:.0f} s)")
    return exit_code_after(results.values())


if __name__ == "__main__":
    sys.exit(main())
