"""Writes one table as one CSV file: `python jobs/export.py --table actions.next_best --lake DIR --out list.csv`."""

import sys

from crm_spark.cli.export import main

if __name__ == "__main__":
    sys.exit(main())
