"""Write one table as one CSV file: `python jobs/export.py --table actions.next_best --lake DIR --out FILE`."""

import sys

from crm_spark.cli.app import run

if __name__ == "__main__":
    sys.exit(run("export"))
