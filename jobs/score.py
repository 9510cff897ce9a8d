"""Runs the score stage: `spark-submit jobs/score.py --conf conf/local.yaml --lake DIR`."""

import sys

from crm_spark.cli.stage import main

if __name__ == "__main__":
    sys.exit(main("score"))
