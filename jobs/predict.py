"""The predict stage: `spark-submit jobs/predict.py --conf FILE --lake DIR`."""

import sys

from crm_spark.cli.app import run

if __name__ == "__main__":
    sys.exit(run("predict"))
