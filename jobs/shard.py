"""Runs the shard stage: `spark-submit jobs/shard.py --conf conf/local.yaml --lake DIR`."""

import sys

from crm_spark.cli.stage import main

if __name__ == "__main__":
    sys.exit(main("shard"))
