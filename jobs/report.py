"""Runs the report stage: `spark-submit jobs/report.py --conf conf/local.yaml --lake DIR`."""

import sys

from crm_spark.cli.stage import main

if __name__ == "__main__":
    sys.exit(main("report"))
