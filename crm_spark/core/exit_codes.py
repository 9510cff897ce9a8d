"""How every job ends: with an exit code and, after a user's mistake, one sentence instead of a stack trace."""

import errno
import os
import re
import sys
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from crm_spark.core.errors import CrmError, ExitCode
from crm_spark.core.java import JavaNotFoundError

if TYPE_CHECKING:  # a mistake in the arguments is told before Spark is imported
    from crm_spark.core.context import StageResult


_DISK_FULL = os.strerror(errno.ENOSPC)
"""What the operating system says, and Java and Spark repeat, whichever of them was writing."""
_NOT_ALLOWED = os.strerror(errno.EACCES)
_UNREADABLE = re.compile(r"\[FAILED_READ_FILE\.(\w+)\] Encountered error while reading file (\S+)/(\S+?)\.?\s")
_UNREADABLE_BECAUSE = {"FILE_NOT_EXIST": "it is not there"}


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
        sentence = _sentence(str(error))
        if sentence is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        return ExitCode.FAILED


def _sentence(said: str) -> str | None:
    """What to say instead of Java's stack trace, where it is of a disk or a file."""
    if _DISK_FULL in said:
        return (
            "a disk is full: the lake's, or the one for shuffles (session.local_dir). The write that failed was not "
            "committed. Make space, then run the same command again."
        )
    if found := _UNREADABLE.search(said):
        kind, folder, name = found.groups()
        why = "this user may not read it" if _NOT_ALLOWED in said else _UNREADABLE_BECAUSE.get(kind, "it is damaged")
        return (
            f"{folder}: file {name} cannot be read: {why}. Nothing was written from it. Put it back from a copy, or mend "
            "its permissions, then run the same command again."
        )
    return None


def exit_code_after(results: Iterable["StageResult"]) -> int:
    """Done, or refused where a gate held something back; what it was goes to standard error."""
    refusals = [result.blocked for result in results if result.blocked]
    for blocked in refusals:
        print(f"refused: {blocked}", file=sys.stderr)
    return ExitCode.REJECTED if refusals else ExitCode.DONE
