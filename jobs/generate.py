"""Generates a synthetic company: `python jobs/generate.py --out DIR --customers 2000 --days 3`."""

import sys

from crm_spark.cli.generate import main

if __name__ == "__main__":
    sys.exit(main())
