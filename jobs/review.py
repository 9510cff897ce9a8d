"""Decide which records are one person: `python jobs/review.py --lake DIR --conf FILE`."""

import sys

from crm_spark.cli.app import run

if __name__ == "__main__":
    sys.exit(run("review"))
