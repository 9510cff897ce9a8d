"""The monitor stage: `spark-submit jobs/monitor.py --conf FILE --lake DIR`."""

import sys

from crm_spark.cli.app import run

if __name__ == "__main__":
    sys.exit(run("monitor"))
