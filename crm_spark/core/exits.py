"""How every job ends: with an exit code and, after a user's mistake, one sentence instead of a stack trace."""

import sys
from collections.abc import Callable

from crm_spark.core.errors import CrmError, ExitCode
from crm_spark.core.java import JavaNotFoundError


def exit_code_of(work: Callable[[], int]) -> int:
    """What `work` returns, or the code of the error it raised on purpose, after saying it on standard error."""
    try:
        return work()
    except CrmError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except JavaNotFoundError as error:
        print(f"error: {error}", file=sys.stderr)
        return ExitCode.BAD_INPUT
