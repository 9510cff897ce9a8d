"""Exceptions and exit codes. Messages say what happened, where, what was expected and what to do; never a customer's value."""

from enum import IntEnum


class ExitCode(IntEnum):
    """Exit code of a job."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    DATA_BLOCKED = 3
    LEASE_HELD = 4


class CrmError(Exception):
    """Base class of all errors that this project raises."""

    exit_code = ExitCode.FAILED


class ConfigError(CrmError):
    """Invalid configuration; names the file, the key, the value and the allowed values."""

    exit_code = ExitCode.BAD_INPUT


class InputError(CrmError):
    """Input that is missing or cannot be read."""

    exit_code = ExitCode.BAD_INPUT


class ContractError(CrmError):
    """A frame violates its table's contract: schema, grain or required columns."""


class BatchConflictError(CrmError):
    """A batch id was committed before with different content."""

    exit_code = ExitCode.DATA_BLOCKED


class LeaseHeldError(CrmError):
    """Another run holds the lease of the lake, or took it over."""

    exit_code = ExitCode.LEASE_HELD


class ArtifactError(CrmError):
    """Files of a model or shard set are missing, altered or not signed."""
