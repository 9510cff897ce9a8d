"""The exception tree. A message says what, where, wanted, got and what to do; it never holds a customer's value."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a job returns to the shell or the scheduler."""

    DONE = 0
    FAILED = 1
    BAD_INPUT = 2
    REJECTED = 3
    LEASE_HELD = 4


class CrmError(Exception):
    """Base of every error the suite raises on purpose."""

    exit_code = ExitCode.FAILED


class ConfigError(CrmError):
    """A configuration value that cannot be used: names file, key, value and what is allowed."""

    exit_code = ExitCode.BAD_INPUT


class InputError(CrmError):
    """Input that is missing or cannot be read at all."""

    exit_code = ExitCode.BAD_INPUT


class ContractError(CrmError):
    """A frame that does not have the schema, the grain or the completeness its table declares."""


class BatchConflictError(CrmError):
    """A batch id that was committed before with other content."""

    exit_code = ExitCode.REJECTED


class LeaseHeldError(CrmError):
    """Another run holds the lake, or took it over from this one."""

    exit_code = ExitCode.LEASE_HELD


class ArtifactError(CrmError):
    """A model model or shard set whose files are not the ones its manifest names."""
