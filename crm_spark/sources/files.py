"""Where the files of a source are, and how they are read."""

import codecs
import re
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from crm_spark.core.config import Config


class FileOptions(Config):
    """Text file options (CSV, JSON)."""

    delimiter: Annotated[str, Field(min_length=1, max_length=4)] = ","
    r"""Field delimiter, one to four characters; `\t` for a tab."""
    quote: Annotated[str, Field(max_length=1)] | None = None
    """Quote character; an empty text turns quoting off. Null: `"`, except in a file whose quotes are ordinary characters:
    every line is complete without quoting, and text follows a closing quote that is lines away. In a tab-separated file
    it is enough that text follows a closing quote, that one is never closed, or that quoting would merge complete lines."""
    escape: Annotated[str, Field(max_length=1)] = '"'
    """Character that escapes a quote inside quotes; RFC 4180 doubles the quote."""
    encoding: str = "utf-8"
    """Character encoding, such as utf-8, windows-1252 or utf-16."""
    errors: Literal["strict", "replace"] = "strict"
    """Bytes that are invalid in the encoding. strict: the file is rejected; replace: they become U+FFFD and are counted in
    `ops.delivery`."""
    multi_line: bool = True
    """Whether a quoted cell may contain line breaks. False lets Spark split a large uncompressed file across tasks."""

    @property
    def quote_character(self) -> str:
        """Quote character; empty without quoting."""
        return '"' if self.quote is None else self.quote

    @property
    def is_quoting_detected(self) -> bool:
        """Whether each file shows if it uses quotes."""
        return self.quote is None

    @field_validator("delimiter")
    @classmethod
    def _unescape_tab(cls, text: str) -> str:
        text = text.replace("\\t", "\t")
        if re.search(r"[\r\n\x00]", text):
            raise ValueError("a delimiter cannot contain line breaks or NUL; expected for example ',', ';' or '\\t'")
        return text

    @field_validator("quote", "escape")
    @classmethod
    def _check_sign(cls, sign: str | None) -> str | None:
        if sign is not None and sign in ("\r", "\n", "\0"):
            raise ValueError("a line break or NUL cannot be used here; expected for example '\"'")
        return sign

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, name: str) -> str:
        try:
            "".encode(name)
            codecs.getincrementaldecoder(name)
        except (LookupError, ValueError):
            raise ValueError(f"unknown encoding {name!r}; expected for example utf-8, windows-1252 or utf-16") from None
        return name

    @model_validator(mode="after")
    def _check_signs_differ(self) -> "FileOptions":
        if self.quote_character and self.quote_character in self.delimiter:
            raise ValueError(
                f"quote: {self.quote_character!r} is part of the delimiter; set another quote, or '' for none"
            )
        if self.quote_character and self.escape and self.escape in self.delimiter:
            raise ValueError(f"escape: {self.escape!r} is part of the delimiter; set another escape character")
        return self


class TableLayout(Config):
    """Where the table is in a CSV, fixed-width or Excel file.

    A first line such as `sep=;`, and lines that repeat the header, are left out without being named here.
    """

    skip_lines: Annotated[int, Field(ge=0)] = 0
    """Lines above the header."""
    header_contains: list[str] = []
    """Names that only the header contains: everything above it is left out."""
    header: list[str] | None = None
    """Names of the columns of a file without a header; null: the first line has them."""
    comment: Annotated[str, Field(min_length=1, max_length=4)] | None = None
    """Lines that begin with this are left out; null: none."""
    footer_lines: Annotated[int, Field(ge=0)] = 0
    """Lines below the table, not counting empty ones."""
    rows: Literal["pad", "strict"] = "pad"
    """pad: the last cells of a row may be missing, or it may end with empty ones; strict: such a row is malformed."""
    widths: dict[str, Annotated[int, Field(ge=1)]] = {}
    """Of a fixed-width file: the characters of each column, from the left. Blanks around a value are removed."""
    sheet: str | int | None = None
    """Name of the sheet of a workbook, or its number, counted from 1; null: the first."""

    @model_validator(mode="after")
    def _check_header(self) -> "TableLayout":
        if self.header is not None and (self.header_contains or not self.header):
            raise ValueError("header: give the names of all columns, and no header_contains: the file has no header")
        return self

    @property
    def has_other_lines(self) -> bool:
        """Whether the file has lines that are no rows, or lacks its header."""
        return bool(self.skip_lines or self.header_contains or self.header or self.comment or self.footer_lines)


class Files(Config):
    """Source files in `ingest.data_dir`."""

    path: Annotated[str, Field(min_length=1)]
    """Glob relative to `ingest.data_dir`: `*` matches within a name, `**` across folders. `export*.zip!subscribed*.csv` are
    members of archives; without `!`, all members are read."""
    format: Literal["csv", "jsonl", "json", "parquet", "excel", "fixed_width"]
    """jsonl: one object per line; json: one document with an array of objects; excel: a sheet of a workbook (.xlsx, .xls, .xlsb,
    .ods). Compression of text files is detected from the extension (.gz, .bz2, .zst); each member of a .zip archive is read as
    a file."""
    records: str | None = None
    """Path to the list of records in a JSON document, or in each line, such as `data.tickets`; null: it is the document."""
    table: TableLayout = TableLayout()
    """Where the table is in a CSV, fixed-width or Excel file."""
    may_lack: list[str] = []
    """Mapped columns that are optional in a file. Records of a file without any other mapped column are quarantined."""
    options: FileOptions = FileOptions()
    """Options of text files; without effect on Parquet."""

    @field_validator("path")
    @classmethod
    def _check_relative_path(cls, glob: str) -> str:
        if glob.startswith(("/", "~")) or re.search(r"[\\:\x00]|(^|/)\.\.?(/|$)", glob):
            raise ValueError(
                "expected a path relative to ingest.data_dir, such as '*/orders*.csv', without '..' or a URI scheme"
            )
        archive, *members = glob.split("!")
        if members and (len(members) > 1 or not members[0] or not archive.lower().endswith(".zip")):
            raise ValueError(
                "expected one '!' between the path of an archive and its members, such as 'export*.zip!subscribed*.csv'"
            )
        return glob

    @property
    def file_path(self) -> str:
        """Glob of the files or archives."""
        return self.path.split("!")[0]

    @property
    def members(self) -> str | None:
        """Glob of the members of an archive that are read; None for all."""
        return self.path.split("!")[1] if "!" in self.path else None

    @property
    def is_table(self) -> bool:
        """Whether the files are read as lines of cells."""
        return self.format in ("csv", "excel", "fixed_width")

    @model_validator(mode="after")
    def _check_format(self) -> "Files":
        if (self.format == "fixed_width") != bool(self.table.widths):
            raise ValueError("a fixed-width file needs table.widths, and only that: such as {customer: 10, name: 30}")
        if self.table.sheet is not None and self.format != "excel":
            raise ValueError("table.sheet: only a workbook has sheets (format: excel)")
        if self.records is not None and self.format not in ("json", "jsonl"):
            raise ValueError("records: only JSON has a path to its records (format: json or jsonl)")
        if self.table != TableLayout() and not self.is_table:
            raise ValueError(f"table: a {self.format} file has none; for JSON see `records`")
        if self.format == "fixed_width" and self.table.header_contains:
            raise ValueError("table.header_contains: the columns of a fixed-width file are named by table.widths")
        return self
