"""Lists the text models of a lake, or puts another in use: `python jobs/models.py --lake DIR [--use VERSION | --rollback]`."""

import sys

from crm_spark.cli.models import main

if __name__ == "__main__":
    sys.exit(main())
