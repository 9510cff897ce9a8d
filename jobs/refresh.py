"""Runs every stage in order, those with something new to do: `spark-submit jobs/refresh.py --conf conf/local.yaml --lake DIR`."""

import sys

from crm_spark.cli.stage import main
from crm_spark.core.errors import ExitCode
from crm_spark.stages.train.processes import is_rank


def run() -> int:
    """All stages, once: ranks of torchrun would each do all of them."""
    if is_rank():
        print(
            "error: torchrun starts jobs/train.py; a refresh starts its ranks itself (train.num_ranks)", file=sys.stderr
        )
        return ExitCode.BAD_INPUT
    return main()


if __name__ == "__main__":
    sys.exit(run())
