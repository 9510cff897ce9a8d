"""Show what a company's mappings make of its files: `python jobs/preview.py --conf FILE`."""

import sys

from crm_spark.cli.app import run

if __name__ == "__main__":
    sys.exit(run("preview"))
