"""Runs the clean stage: `spark-submit jobs/clean.py --conf conf/local.yaml --lake DIR`."""

import sys

from crm_spark.cli.stage import main

if __name__ == "__main__":
    sys.exit(main("clean"))
