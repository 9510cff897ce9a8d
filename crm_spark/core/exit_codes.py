"""Exit codes of jobs; expected errors are printed as one message instead of a stack trace."""

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
"""Message of the operating system, repeated by Java and Spark."""
_NOT_ALLOWED = os.strerror(errno.EACCES)
_UNREADABLE = re.compile(r"\[FAILED_READ_FILE\.(\w+)\] Encountered error while reading file (\S+)/(\S+?)\.?\s")
_STORE = re.compile(
    r"(SafeMode|NoRouteToHost|ConnectTimeout|SocketTimeout|UnknownHost|Connect|AccessControl|AccessDenied|BlockMissing"
    r"|AWSClientIO|AWSServiceIO|AWSServiceThrottled|AWSStatus500|AWSBadRequest|UnknownStore|NoAuthWithAWS)Exception: ?([^\n]*)"
)
"""Errors of HDFS and S3 as their clients name them."""
_UNREADABLE_BECAUSE = {"FILE_NOT_EXIST": "it does not exist"}


def exit_code_of(work: Callable[[], int]) -> int:
    """Run `work` and return its exit code; print expected errors to standard error and return their exit code."""
    try:
        return work()
    except Exception as error:
        known = explained(error)
        if known is None:
            raise
        message, exit_code = known
        print(f"error: {message}", *getattr(error, "__notes__", []), sep="\n", file=sys.stderr)
        return exit_code


def explained(error: Exception) -> tuple[str, ExitCode] | None:
    """Message and exit code of an expected error; None for others."""
    if isinstance(error, CrmError):
        return str(error), error.exit_code
    if isinstance(error, JavaNotFoundError):
        return str(error), ExitCode.BAD_INPUT
    message = _message(str(error))
    return None if message is None else (message, ExitCode.FAILED)


def _message(error: str) -> str | None:
    """A message for disk and file errors in place of Java's stack trace; None for other errors."""
    if _DISK_FULL in error:
        return (
            "a disk is full: the disk of the lake, or the one for shuffle files (session.local_dir). The failed write was not "
            "committed. Free space, then run the same command again."
        )
    if match := _UNREADABLE.search(error):
        kind, folder, name = match.groups()
        why = "permission denied" if _NOT_ALLOWED in error else _UNREADABLE_BECAUSE.get(kind, "it is damaged")
        return (
            f"{folder}: file {name} cannot be read: {why}. No rows were written from it. Restore it from a backup or correct its "
            "permissions, then run the same command again."
        )
    if "org.apache.hadoop" in error and (match := _STORE.search(error)):
        kind, detail = match.groups()
        return (
            f"the store of the lake or of the source files failed ({kind}: {detail.strip() or 'no further details'}). "
            "What was not committed is not used. Make it reachable and writable, then run the same command again."
        )
    return None


def exit_code_after(results: Iterable["StageResult"]) -> int:
    """0, or 3 if an expectation blocked data; the blocked data is reported on standard error."""
    refusals = [result.blocked for result in results if result.blocked]
    for blocked in refusals:
        print(f"blocked: {blocked}", file=sys.stderr)
    return ExitCode.DATA_BLOCKED if refusals else ExitCode.DONE
