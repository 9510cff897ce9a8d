"""Compact tables and remove what is no longer read: `python jobs/maintain.py --lake DIR --dry-run`."""

import sys

from crm_spark.cli.app import run

if __name__ == "__main__":
    sys.exit(run("maintain"))
