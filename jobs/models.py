"""List text models, promote one or roll back: `python jobs/models.py --lake DIR`."""

import sys

from crm_spark.cli.app import run

if __name__ == "__main__":
    sys.exit(run("models"))
