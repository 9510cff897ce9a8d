"""Validation of files before ingest: each kind of defect has a reason code."""

import bz2
import gzip
import hashlib
import io
import os
import random
import zipfile

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from crm_spark.sources.files import FileOptions, Files
from crm_spark.stages.ingest.file_validation import FileReport, examine

CSV = b'id;text\n1;plain\n2;"two\nlines, and ""quotes"""\n3;5" disk\n'
LINES = b'{"id": 1, "text": "a"}\n{"id": 2, "text": "b"}\n'


def zipped(**members: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return sink.getvalue()


def zstd(content: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as packed:
        packed.write(content)
    return sink.getvalue().to_pybytes()


NOT_UTF8 = pc.cast(pa.array([b"fine", "café".encode("latin-1")]), pa.string(), safe=False)


def parquet(**columns) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, write_page_checksum=True)
    return sink.getvalue()


def look(tmp_path, name: str, content: bytes, *, format="csv", max_unpacked_ratio=200.0, **options) -> list[FileReport]:
    (tmp_path / name).write_bytes(content)
    how = Files(path="*", format=format, options=FileOptions(**{"delimiter": ";", **options}))
    path = str(tmp_path / name)
    return examine(fs.LocalFileSystem(), path, name, how, max_unpacked_ratio=max_unpacked_ratio)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", CSV), ("a.csv.gz", gzip.compress(CSV)), ("a.csv.bz2", bz2.compress(CSV)), ("a.csv.zst", zstd(CSV)),
        ("bom.csv", b"\xef\xbb\xbf" + CSV), ("crlf.csv", CSV.replace(b"\n", b"\r\n")), ("end.csv", CSV.rstrip(b"\n")),
    ],
)  # fmt: skip
def test_valid_file_returns_digest_size_and_columns(tmp_path, name, content):
    assert look(tmp_path, name, content) == [
        FileReport(name, hashlib.sha256(content).hexdigest(), len(content), ("id", "text"))
    ]


@pytest.mark.parametrize(
    ("name", "content", "options", "code"),
    [
        ("empty.csv", b"", {}, "empty_file"),
        ("blank.csv", b"\n\n", {}, "empty_file"),
        ("bom.csv", b"\xef\xbb\xbf", {}, "empty_file"),
        ("cut.csv.gz", gzip.compress(CSV * 50)[:-9], {}, "truncated_file"),
        ("cut.csv.bz2", bz2.compress(CSV * 50)[:-9], {}, "truncated_file"),
        ("cut.csv.zst", zstd(CSV * 50)[:-9], {}, "truncated_file"),
        ("no.csv.gz", CSV, {}, "damaged_file"),
        ("no.csv.bz2", CSV, {}, "damaged_file"),
        ("no.csv.zst", CSV, {}, "damaged_file"),
        ("no.zip", CSV, {}, "damaged_file"),
        ("latin.csv", "id;text\n1;Müller\n".encode("latin-1"), {}, "wrong_encoding"),
        ("half.csv", "id;text\n1;Müller"[:-4].encode() + b"\xc3", {}, "wrong_encoding"),
        ("wide.csv", "id;text\n1;x\n".encode("utf-16"), {}, "wrong_encoding"),
        ("narrow.csv", CSV + b"x", {"encoding": "utf-16"}, "wrong_encoding"),
        ("nul.csv", CSV + b"4;a\0b\n", {}, "nul_bytes"),
        ("open.csv", CSV + b"4;\"never closed\n5;x\n6;y\n", {}, "unterminated_quote"),
        ("open-escaped.csv", b"id;text\n4;\"never \\\" closed\n5;x\n", {"escape": "\\"}, "unterminated_quote"),
        ("twice.csv", b"id;ID\n1;2\n", {}, "duplicate_column"),
        ("bomb.csv.gz", gzip.compress(b"id;text\n" + b"0" * 70_000_000), {}, "too_large_unpacked"),
        ("nul.jsonl", LINES + b"\0", {"format": "jsonl"}, "nul_bytes"),
        ("latin.jsonl", '{"a": "ü"}'.encode("latin-1"), {"format": "jsonl"}, "wrong_encoding"),
        ("cut.json", b'[{"id": 1}, {"id"', {"format": "json"}, "damaged_file"),
        ("cut.parquet", parquet(a=[1, 2, 3])[:-20], {"format": "parquet"}, "damaged_file"),
        ("no.parquet", CSV, {"format": "parquet"}, "damaged_file"),
        ("latin.parquet", parquet(a=NOT_UTF8), {"format": "parquet"}, "wrong_encoding"),
    ],
)  # fmt: skip
def test_each_defect_has_a_reason_code(tmp_path, name, content, options, code):
    assert [(e.name, e.damage) for e in look(tmp_path, name, content, **options)] == [(name, code)]


@pytest.mark.parametrize("format", ["csv", "parquet"])
def test_every_flipped_bit_is_detected(tmp_path, format):
    draw = random.Random(7)
    if format == "csv":
        # gzip carries a checksum of the content; plain text carries none, and its digest is all that can be known
        sound, ending = gzip.compress(CSV * 400), "csv.gz"
    else:
        sound, ending = parquet(id=list(range(5000)), text=[f"text {i * 7919 % 5000}" for i in range(5000)]), "parquet"
    (original,) = look(tmp_path, f"sound.{ending}", sound, format=format)
    unseen = 0
    for _ in range(100):
        bytes_ = bytearray(sound)
        bytes_[draw.randrange(len(bytes_))] ^= 1 << draw.randrange(8)
        reports = look(tmp_path, f"flipped.{ending}", bytes(bytes_), format=format)
        if reports[0].damage is None:
            # a bit that no content depends on: a time stamp in the header, a name in the footer
            unseen += reports[0].digest == original.digest
    assert unseen == 0


def test_archive_members_are_validated_separately(tmp_path):
    reports = look(tmp_path, "both.zip", zipped(**{"x/a.csv": CSV, "b.csv": b"id\n1\n", "c.csv": b"", "x/": b""}))
    assert [(e.name, e.num_bytes, e.columns, e.damage) for e in reports] == [
        ("both.zip!x/a.csv", len(CSV), ("id", "text"), None),
        ("both.zip!b.csv", 5, ("id",), None),
        ("both.zip!c.csv", 0, (), "empty_file"),
    ]
    assert reports[0].digest == hashlib.sha256(CSV).hexdigest()


def test_hidden_members_are_ignored(tmp_path):
    reports = look(tmp_path, "mac.zip", zipped(**{"a.csv": CSV, "__MACOSX/._a.csv": b"\0\5", ".DS_Store": b"\0"}))
    assert [(e.name, e.damage) for e in reports] == [("mac.zip!a.csv", None)]


@pytest.mark.parametrize(
    "member", ["../a.csv", "/etc/a.csv", "x/../../a.csv", "..\\a.csv", "C:\\a.csv", "a/..", "\\\\h\\a"]
)
def test_member_with_an_unsafe_path_is_rejected(tmp_path, member):
    (report,) = look(tmp_path, "out.zip", zipped(**{member: CSV}))
    assert (report.name, report.damage) == ("out.zip", "unsafe_member")


def test_damaged_member_does_not_affect_the_others(tmp_path):
    content = bytearray(zipped(**{"a.csv": os.urandom(500).hex().encode(), "b.csv": CSV}))
    content[60] ^= 0xFF
    damages = {e.name: e.damage for e in look(tmp_path, "both.zip", bytes(content))}
    assert damages == {"both.zip!a.csv": "damaged_file", "both.zip!b.csv": None}


def test_file_without_read_permission_is_reported(tmp_path):
    os.symlink(tmp_path / "nowhere", tmp_path / "link.csv")
    how = Files(path="*", format="csv")
    (report,) = examine(fs.LocalFileSystem(), str(tmp_path / "link.csv"), "link.csv", how, max_unpacked_ratio=200)
    assert report.damage == "not_readable"


def test_two_character_delimiter_splits_the_header(tmp_path):
    (report,) = look(tmp_path, "a.csv", b"id||text\n1||x\n", delimiter="||")
    assert report.columns == ("id", "text")
