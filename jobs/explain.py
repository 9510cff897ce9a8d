"""Explain the predicted label of a text: `python jobs/explain.py --lake DIR --text "..."`."""

import sys

from crm_spark.cli.app import run

if __name__ == "__main__":
    sys.exit(run("explain"))
