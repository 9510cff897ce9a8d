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
        has_lone_surrogates: whether its JSON contains escaped lone surrogates.
    """

    source: str
    name: str
    path: str
    num_bytes: int
    modified_at: datetime
    columns: tuple[str, ...] = ()
    blocked: str | None = None
    has_lone_surrogates: bool = False

    @property
    def member(self) -> str | None:
        """Name inside the archive; None for a plain file."""
        return self.name.split(ARCHIVE_SEPARATOR, 1)[1] if ARCHIVE_SEPARATOR in self.name else None
