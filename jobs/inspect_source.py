"""Drafts a source's configuration from its files: `python jobs/inspect_source.py --source shop --data DIR --path "*.csv"`."""

import sys

from crm_spark.inspection import main

if __name__ == "__main__":
    sys.exit(main())
