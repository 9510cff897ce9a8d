"""Show the last runs, the deliveries, the models in use, and what to do next: `python jobs/status.py --lake DIR`."""

import sys

from crm_spark.cli.app import run

if __name__ == "__main__":
    sys.exit(run("status"))
