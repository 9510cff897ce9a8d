"""Every stage in order, those with something new to do: `spark-submit jobs/refresh.py --conf FILE --lake DIR`."""

import sys

from crm_spark.cli.app import run
from crm_spark.core.errors import ExitCode
from crm_spark.stages.train.processes import is_rank


def main() -> int:
    """Run all stages; under torchrun every rank would run all of them."""
    if is_rank():
        print(
            "error: torchrun must start jobs/train.py; a refresh starts its own ranks (train.num_ranks)",
            file=sys.stderr,
        )
        return ExitCode.BAD_INPUT
    return run("refresh")


if __name__ == "__main__":
    sys.exit(main())
