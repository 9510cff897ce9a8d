"""The file record shared by discovery, staging, validation and reading."""

from dataclasses import dataclass
from datetime import datetime

ARCHIVE_SEPARATOR = "!"


@dataclass(frozen=True)
class SourceFile:
    """A file in the data folder, or a member of an archive.

    Attributes:
        source: name of the source.
        name: path relative to the data folder; `archive!member` for a member.
        path: location of the file or archive; a URI until it is staged.
        num_bytes: size in bytes; unpacked size for a member.
        modified_at: modification time (UTC).
        columns: header columns as encoded in bronze; empty before validation or without a header.
        blocked: reason code if the file must not be opened.
        keys: keys of its JSON records, as written.
        binary_columns: Parquet columns whose bytes are not text.
        needs_copy: whether Spark must read a rewritten copy.
        is_unquoted: whether quotes in a CSV file are ordinary characters.
        num_replaced: number of invalid byte sequences replaced by U+FFFD.
        is_copy: whether it is the rewritten copy, in UTF-8.
    """

    source: str
    name: str
    path: str
    num_bytes: int
    modified_at: datetime
    columns: tuple[str, ...] = ()
    blocked: str | None = None
    keys: tuple[str, ...] = ()
    binary_columns: tuple[str, ...] = ()
    needs_copy: bool = False
    is_unquoted: bool = False
    num_replaced: int = 0
    is_copy: bool = False

    @property
    def member(self) -> str | None:
        """Name inside the archive; None for a plain file."""
        return self.name.split(ARCHIVE_SEPARATOR, 1)[1] if ARCHIVE_SEPARATOR in self.name else None
