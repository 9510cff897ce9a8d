"""How every job ends: with an exit code and, after a user's mistake, one sentence instead of a stack trace."""

import errno
import os
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from crm_spark.core.errors import CrmError, ExitCode
from crm_spark.core.java import JavaNotFoundError

if TYPE_CHECKING:  # a mistake in the arguments is told before Spark is imported
    from crm_spark.core.context import StageResult


_DISK_FULL = os.strerror(errno.ENOSPC)
"""What the operating system says, and Java and Spark repeat, whichever of them was writing."""


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
    except Exception as error:
        if _DISK_FULL not in str(error):
            raise
        print(
            "error: a disk is full: the lake's, or the one for shuffles (session.local_dir). The write that failed was not "
            "committed. Make space, then run the same command again.",
            file=sys.stderr,
        )
        return ExitCode.FAILED


def exit_code_after(results: Iterable["StageResult"]) -> int:
    """Done, or refused where a gate held something back; what it was goes to standard error."""
    refusals = [result.refusal for result in results if result.refusal]
    for refusal in refusals:
        print(f"refused: {refusal}", file=sys.stderr)
    return ExitCode.REFUSED if refusals else ExitCode.DONE
