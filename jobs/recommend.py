"""Runs the recommend stage: `spark-submit jobs/recommend.py --conf conf/local.yaml --lake DIR`."""

import sys

from crm_spark.cli.stage import main

if __name__ == "__main__":
    sys.exit(main("recommend"))
