"""Runs every stage in order, those with something new to do: `spark-submit jobs/refresh.py --conf conf/local.yaml --lake DIR`."""

import sys

from crm_spark.job import main

if __name__ == "__main__":
    sys.exit(main())
