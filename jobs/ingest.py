"""Runs the ingest stage: `spark-submit jobs/ingest.py --conf conf/local.yaml --lake DIR`."""

import sys

from crm_spark.cli.stage import main

if __name__ == "__main__":
    sys.exit(main("ingest"))
