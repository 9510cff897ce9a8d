"""The train stage: `spark-submit jobs/train.py --conf FILE --lake DIR`, or under torchrun with its ranks."""

import sys

from crm_spark.cli.app import run
from crm_spark.stages.train.processes import is_rank


def main() -> int:
    """Run the stage; under torchrun, as this rank."""
    if not is_rank():
        return run("train")
    from crm_spark.stages.train import ranks

    return ranks.run(lambda: run("train"))


if __name__ == "__main__":
    sys.exit(main())
