"""Runs the train stage: `spark-submit jobs/train.py --conf conf/local.yaml --lake DIR`, or by `torchrun`, with its ranks."""

import sys

from crm_spark.cli.stage import main
from crm_spark.stages.train.processes import is_rank


def run() -> int:
    """The stage; started by torchrun, on this rank."""
    if not is_rank():
        return main("train")
    from crm_spark.stages.train import ranks

    return ranks.run(lambda: main("train"))


if __name__ == "__main__":
    sys.exit(run())
