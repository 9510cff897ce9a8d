"""Decode text files: which byte fails, which encodings would read the file, how many invalid bytes were replaced."""

import codecs
import io
from collections.abc import Callable, Iterable, Iterator
from typing import IO, Any

from crm_spark.sources.files import FileOptions
from crm_spark.stages.ingest.file_reasons import NUL, WRONG_ENCODING, DamagedFileError

Open = Callable[[], Any]
"""Opens a file; the stream yields unpacked bytes."""

CHUNK_BYTES = 1 << 20
_CANDIDATES = (
    "utf-8", "utf-16", "utf-16-le", "utf-16-be", "windows-1252", "iso-8859-1", "iso-8859-15", "windows-1250",
    "windows-1251", "cp850", "shift_jis", "gb18030",
)  # fmt: skip
_UNLIKELY = frozenset(map(chr, (*range(9), *range(14, 32), *range(0x80, 0xA0))))
"""Control characters: a text that contains them was decoded in the wrong encoding."""
_NATIVE = {"utf-8", "ascii", "iso8859-1", "iso8859-15", "cp1250", "cp1251", "cp1252"}
_MAGIC = {b"PAR1": "Parquet", b"PK\x03\x04": "a ZIP archive or a spreadsheet", b"\x1f\x8b": "gzip", b"BZh": "bzip2",
          b"\x28\xb5\x2f\xfd": "zstd", b"%PDF": "PDF", b"\xd0\xcf\x11\xe0": "a spreadsheet"}  # fmt: skip


def codec_of(encoding: str) -> str:
    """Python codec name of an encoding; UTF-8 is read with or without a byte order mark."""
    name = codecs.lookup(encoding).name
    return "utf-8-sig" if name == "utf-8" else name


def is_read_by_spark(encoding: str, *, is_json: bool) -> bool:
    """Whether Spark reads the encoding as Python does; JSON keeps numbers as written in UTF-8 only."""
    name = codecs.lookup(encoding).name
    return name in ("utf-8", "utf-8-sig") if is_json else name in _NATIVE or name == "utf-8-sig"


def chunks(stream: Any) -> Iterator[bytes]:
    """Content of a stream in chunks; closes it."""
    with stream:
        while chunk := stream.read(CHUNK_BYTES):
            yield chunk


def as_text(open_bytes: Open, options: FileOptions) -> IO[str]:
    """Open a validated file as text, with line ends as they are."""
    return io.TextIOWrapper(open_bytes(), encoding=codec_of(options.encoding), errors=options.errors, newline="")


class Decoded:
    """Iterates over the text of a file, chunk by chunk.

    Attributes:
        num_replaced: number of invalid byte sequences that were replaced by U+FFFD.

    Raises:
        DamagedFileError: invalid bytes, or NUL.
    """

    def __init__(self, content: Iterable[bytes], options: FileOptions, reopened: Open):
        self._content, self._options, self._reopened = content, options, reopened
        self.num_replaced = 0

    def __iter__(self) -> Iterator[str]:
        make = codecs.getincrementaldecoder(codec_of(self._options.encoding))
        decoder, genuine = make(self._options.errors), make("ignore")
        num_bytes, num_lines = 0, 1
        for chunk in _ended(self._content):
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                # The codec decodes the bytes left over from the last chunk, without a byte order mark.
                at = num_bytes + len(chunk) - len(error.object) + error.start
                line = num_lines + _num_line_ends(_before(error, self._options.encoding))
                raise self._wrong(f"byte {at}, line {line}: 0x{error.object[error.start]:02X}") from None
            except UnicodeError:
                raise self._wrong("byte 0, line 1") from None
            if self._options.errors == "replace":
                self.num_replaced += text.count("\ufffd") - genuine.decode(chunk, final=not chunk).count("\ufffd")
            if "\0" in text:
                raise self._nul(num_lines + _num_line_ends(text[: text.index("\0")]))
            num_bytes += len(chunk)
            num_lines += _num_line_ends(text)
            yield text

    def _wrong(self, position: str) -> DamagedFileError:
        return DamagedFileError(WRONG_ENCODING, f"{position} is not {self._options.encoding}", self._hint())

    def _nul(self, line: int) -> DamagedFileError:
        head = _head_of(self._reopened)
        names = [name for name in ("utf-16", "utf-16-le", "utf-16-be") if _may_be(name, head)]
        hint = _of_other_format(head) or (f"Set files.options.encoding: {names[0]}." if names else None)
        for number, chunk in enumerate(chunks(self._reopened())):
            if (at := chunk.find(b"\0")) >= 0:
                return DamagedFileError(NUL, f"byte {number * CHUNK_BYTES + at}, line {line}", hint)
        return DamagedFileError(NUL, f"line {line}", hint)

    def _hint(self) -> str:
        head = _head_of(self._reopened)
        if hint := _of_other_format(head):
            return hint
        names = readable_as(self._reopened)
        if not names:
            return "No known encoding reads the file: ask for a new copy, or set files.options.errors: replace."
        return f"Set files.options.encoding; the file is readable as {', '.join(names)}. Or set files.options.errors: replace."


def _ended(content: Iterable[bytes]) -> Iterator[bytes]:
    """The chunks, and an empty one for the end of the file."""
    yield from content
    yield b""


def _before(error: UnicodeDecodeError, encoding: str) -> str:
    return error.object[: error.start].decode(encoding, "ignore")


def _num_line_ends(text: str) -> int:
    return text.count("\n") + text.count("\r") - text.count("\r\n")


def _head_of(open_bytes: Open) -> bytes:
    with open_bytes() as stream:
        head: bytes = stream.read(4096)
    return head


def _of_other_format(head: bytes) -> str | None:
    kind = next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), None)
    return f"The content is {kind}: correct files.format, or the extension of the file." if kind else None


def readable_as(open_bytes: Open) -> list[str]:
    """Encodings that decode the whole file without control characters."""
    head = _head_of(open_bytes)
    decoders = {
        name: codecs.getincrementaldecoder(codec_of(name))("strict") for name in _CANDIDATES if _may_be(name, head)
    }
    for chunk in _ended(chunks(open_bytes())):
        for name in list(decoders):
            try:
                is_text = _UNLIKELY.isdisjoint(decoders[name].decode(chunk, final=not chunk))
            except UnicodeError:
                is_text = False
            if not is_text:
                del decoders[name]
    return list(decoders)


def _may_be(name: str, head: bytes) -> bool:
    has_mark = head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    if name == "utf-16":
        return has_mark
    if name in ("utf-16-le", "utf-16-be"):  # text in a Latin alphabet has a zero in every second byte
        high = head[1::2] if name == "utf-16-le" else head[::2]
        return not has_mark and 2 * high.count(0) > len(high) > 0
    return True
