"""Generate a synthetic company: `python jobs/generate.py --out DIR --customers 2000`."""

import sys

from crm_spark.cli.app import run

if __name__ == "__main__":
    sys.exit(run("generate"))
