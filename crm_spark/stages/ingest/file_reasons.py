"""Reason codes of rejected files, and what to do about each."""

EMPTY, TRUNCATED, DAMAGED, NOT_READABLE = "empty_file", "truncated_file", "damaged_file", "not_readable"
WRONG_ENCODING, NUL, UNTERMINATED = "wrong_encoding", "nul_bytes", "unterminated_quote"
TOO_LARGE, UNSAFE_MEMBER, DUPLICATE_COLUMN = "too_large_unpacked", "unsafe_member", "duplicate_column"
UNUSABLE_NAME, LEADS_OUTSIDE = "unusable_name", "leads_outside"
NOT_RECORDS, BINARY_COLUMN, READ_FAILED = "not_records", "binary_column", "read_failed"
NO_HEADER, NO_SHEET, NO_MEMBER = "no_header", "no_sheet", "no_member"

HINTS = {
    EMPTY: "Ask for a new copy.",
    TRUNCATED: "Ask for a new copy, and wait until uploads are complete.",
    DAMAGED: "Check files.format, or ask for a new copy.",
    NOT_READABLE: "Check the permissions of the file, and where links lead.",
    WRONG_ENCODING: "Set files.options.encoding, or files.options.errors: replace.",
    NUL: "Set files.options.encoding if the file is UTF-16; otherwise ask for a new copy.",
    UNTERMINATED: "Correct the file, or set files.options.quote and escape; quote: '' turns quoting off.",
    TOO_LARGE: "Check the file, or raise ingest.max_unpacked_ratio.",
    UNSAFE_MEMBER: "Ask for an archive with relative paths.",
    DUPLICATE_COLUMN: "Rename one of the columns at the source.",
    UNUSABLE_NAME: "Rename the file.",
    LEADS_OUTSIDE: "Copy the file into the data folder.",
    NOT_RECORDS: "Deliver an array of objects, or one object per line (files.format: jsonl).",
    BINARY_COLUMN: "Write the column as UTF-8 text, or remove it from the mapping.",
    NO_HEADER: "Correct files.table: no line is the header.",
    NO_SHEET: "Set files.table.sheet.",
    NO_MEMBER: "Correct the part of files.path behind the '!'.",
    READ_FAILED: "Deliver the file in another format, such as CSV. The next run tries again.",
}
"""Reason code -> hint."""


class DamagedFileError(Exception):
    """A file cannot be read.

    Attributes:
        code: reason code.
        position: where in the file; empty if unknown.
        hint: what to do.
    """

    def __init__(self, code: str, position: str = "", hint: str | None = None):
        super().__init__(code)
        self.code, self.position, self.hint = code, position, hint or HINTS[code]
