"""Says why a text is read as it is: `python jobs/explain.py --lake DIR --text "..."`."""

import sys

from crm_spark.cli.explain import main

if __name__ == "__main__":
    sys.exit(main())
