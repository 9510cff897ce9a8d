"""Draft the configuration of new files: `python jobs/onboard.py --data DIR --out conf/examples/mine`."""

import sys

from crm_spark.cli.app import run

if __name__ == "__main__":
    sys.exit(run("onboard"))
