"""The recommend stage: `spark-submit jobs/recommend.py --conf FILE --lake DIR`."""

import sys

from crm_spark.cli.app import run

if __name__ == "__main__":
    sys.exit(run("recommend"))
