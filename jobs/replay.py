"""Lets out of the quarantine what a mended mapping or rule accepts: `spark-submit jobs/replay.py --conf conf/local.yaml --lake DIR`."""

import sys

from crm_spark.cli.stage import main

if __name__ == "__main__":
    sys.exit(main("replay"))
