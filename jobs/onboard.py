"""Drafts a company's configuration from a folder of files: `python jobs/onboard.py --data DIR --out conf/examples/mine`."""

import sys

from crm_spark.cli.onboard import main

if __name__ == "__main__":
    sys.exit(main())
