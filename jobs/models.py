"""List the text models of a lake, or change the one in production: `python jobs/models.py --lake DIR`."""

import sys

from crm_spark.cli.app import run

if __name__ == "__main__":
    sys.exit(run("models"))
