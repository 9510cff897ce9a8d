"""Seeded mutations of small valid files, and how many records a reader of the format finds in them."""

import csv
import gzip
import io
import json
import random
import zipfile
import zlib
from collections.abc import Callable, Iterator

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = [
    {"id": str(i), "name": text, "price": f"{i}.50", "at": f"2024-05-{i + 1:02} 10:00:00"}
    for i, text in enumerate(
        ["Lamp", 'a "quoted" word', "two\nlines", "Müller, Ö", "", "x;y\tz", "漢字 \U0001f600"] * 3
    )
]
KINDS = {
    "csv": ("csv", "csv"), "tsv": ("tsv", "tsv"), "lines": ("lines", "jsonl"), "document": ("document", "json"),
    "columns": ("columns", "parquet"), "packed": ("csv", "csv.gz"), "packed_lines": ("lines", "jsonl.gz"),
    "archive": ("csv", "zip"),
}  # fmt: skip
"""Kind of file -> its source, and its extension."""
SOURCE = "files: {{path: '{name}/*', format: {format}{more}}}\n"
FORMATS = {"lines": "jsonl", "packed_lines": "jsonl", "document": "json", "columns": "parquet"}


def sources() -> Iterator[tuple[str, str]]:
    """Name and YAML text of each source; they feed no entity."""
    for name in sorted({source for source, _ in KINDS.values()}):
        more = r", options: {delimiter: '\t'}" if name == "tsv" else ""
        yield name, SOURCE.format(name=name, format=FORMATS.get(name, "csv"), more=more)


def valid(name: str, rows: list[dict[str, str]]) -> bytes:
    """A valid file of the source."""
    format = FORMATS.get(name, "csv")
    if format == "parquet":
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist([{**row, "price": float(row["price"])} for row in rows]), sink)
        return sink.getvalue()
    if format == "csv":
        text = io.StringIO(newline="")
        writer = csv.writer(text, delimiter="\t" if name == "tsv" else ",", lineterminator="\n")
        writer.writerows([list(rows[0]), *(list(row.values()) for row in rows)])
        content = text.getvalue().encode()
    else:
        made = [json.dumps(row, ensure_ascii=False) for row in rows]
        content = ("\n".join(made) + "\n" if format == "jsonl" else "[" + ",\n".join(made) + "]").encode()
    return _packed(name, content)


def _packed(name: str, content: bytes) -> bytes:
    if name == "archive":
        sink = io.BytesIO()
        with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("a.csv", content)
        return sink.getvalue()
    return gzip.compress(content, mtime=0) if name.startswith("packed") else content


def flipped(content: bytes, draw: random.Random) -> bytes:
    made = bytearray(content)
    for _ in range(draw.randint(1, 4)):
        made[draw.randrange(len(made))] ^= 1 << draw.randrange(8)
    return bytes(made)


def cut(content: bytes, draw: random.Random) -> bytes:
    return content[: draw.randrange(len(content))]


def inserted(content: bytes, draw: random.Random) -> bytes:
    at = draw.randrange(len(content) + 1)
    signs = (
        b"\0",
        b'"',
        b"\r",
        b"\n",
        b"\r\n",
        b"\xff",
        b",",
        b"{",
        b"}",
        b"[",
        b"null",
        b"\\",
        b"\xef\xbb\xbf",
        b"\t",
        b"'",
    )
    return content[:at] + draw.choice(signs) * draw.randint(1, 3) + content[at:]


def swapped(content: bytes, draw: random.Random) -> bytes:
    first, second, third = sorted(draw.randrange(len(content) + 1) for _ in range(3))
    return content[:first] + content[second:third] + content[first:second] + content[third:]


def joined(content: bytes, draw: random.Random) -> bytes:
    return content + draw.choice((content, content[: len(content) // 2], b"\n" + content))


def with_other_names(content: bytes, draw: random.Random) -> bytes:
    return content.replace(
        b"name", draw.choice((b"Name", b"ID", b"id", b"", b"_x", b"a.b", b"na me", b"\xc3\xa9t", b"a`b=%"))
    )


def emptied(_: bytes, draw: random.Random) -> bytes:
    return draw.choice((b"", b"\n", b" ", b"[]", b"{}", b"null", b"\xef\xbb\xbf", b"\r\n\r\n", b"[{}]", b"5", b'""'))


def in_utf16(content: bytes, draw: random.Random) -> bytes:
    return content.decode("utf-8", "replace").encode(draw.choice(("utf-16", "utf-16-le", "windows-1252")), "replace")


MUTATIONS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flipped, flipped, cut, inserted, inserted, swapped, joined, with_other_names, emptied, in_utf16,
)  # fmt: skip


def mutated_files(number: int, *, seed: int) -> Iterator[tuple[str, bytes]]:
    """Names (`source/number.ending`) and content: one or two mutations, a few files under another format's extension."""
    draw = random.Random(seed)
    names = list(KINDS)
    for i in range(number):
        name = names[i % len(names)]
        is_inner = draw.random() < 0.5 and (name.startswith("packed") or name == "archive")
        kind = draw.choice(names) if draw.random() < 0.06 else name
        rows = [{**row, "id": f"{i}-{row['id']}"} for row in draw.sample(ROWS, draw.randint(1, 12))]
        content = valid("csv" if is_inner and name != "packed_lines" else "lines" if is_inner else kind, rows)
        for _ in range(draw.randint(1, 2)):
            content = draw.choice(MUTATIONS)(content, draw) if content else content
        source, ending = KINDS[name]
        yield f"{source}/{i:04}.{ending}", _packed(name, content) if is_inner else content


def num_records(name: str, content: bytes) -> int | None:
    """Records a strict reader of the format finds; None if it finds a defect."""
    format = FORMATS.get(name.split("/")[0], "csv")
    try:
        if format == "parquet":
            return pq.read_table(io.BytesIO(content)).num_rows
        if ".gz" in name:
            content = gzip.decompress(content)
        if name.endswith("zip"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                (member,) = archive.namelist()
                content = archive.read(member)
        text = content.decode("utf-8-sig")
        if format == "json":
            document = json.loads(text)
            return len(document) if isinstance(document, list) else 1
        if format == "jsonl":
            return sum(_num_in_line(line) for line in io.StringIO(text, newline=None) if line.strip(" \t\r\n"))
        rows = csv.reader(io.StringIO(text, newline=""), delimiter="\t" if "tsv" in name else ",", strict=True)
        header, *others = [row for row in rows if row]
        return sum(1 for row in others if row != header)  # a header in the middle is no record
    except (
        ValueError,
        csv.Error,
        OSError,
        EOFError,
        RecursionError,
        zlib.error,
        NotImplementedError,
        RuntimeError,
        zipfile.BadZipFile,
        pa.ArrowException,
    ):
        return None


def _num_in_line(line: str) -> int:
    """An array of objects is as many records; everything else is one, valid or malformed."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return 1
    is_array = isinstance(value, list) and all(isinstance(record, dict) for record in value)
    return len(value) if is_array else 1
