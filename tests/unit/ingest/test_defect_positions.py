"""Rejected files come with position and hint."""

import gzip
import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from crm_spark.sources.files import FileOptions, Files
from crm_spark.stages.ingest.file_validation import FileReport, examine


def look(tmp_path, name: str, content: bytes, *, format="csv", **options) -> FileReport:
    (tmp_path / name).write_bytes(content)
    how = Files(path="*", format=format, options=FileOptions(**options))
    (report,) = examine(fs.LocalFileSystem(), str(tmp_path / name), name, how, max_unpacked_ratio=200)
    return report


def parquet(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


@pytest.mark.parametrize(
    ("content", "encoding", "position", "candidates"),
    [
        ("id,city\n1,Köln\n".encode("windows-1252"), "utf-8", "byte 11, line 2: 0xF6 is not utf-8", "windows-1252, iso-8859-1"),
        (b"\xef\xbb\xbfid,city\n1,K\xf6ln\n", "utf-8", "byte 14, line 2: 0xF6 is not utf-8", ""),
        ("id,price\n1,5 €\n".encode("windows-1252"), "utf-8", "byte 13, line 2: 0x80 is not utf-8", "windows-1252"),
        (b"id\r\n1\r\n2\r\xff\r", "utf-8", "byte 9, line 4: 0xFF is not utf-8", "windows-1252, iso-8859-1"),
        ("id,city\n1,Köln\n".encode("utf-16"), "utf-8", "byte 0, line 1: 0xFF is not utf-8", "utf-16"),
        ("id,city\n1,Köln\n".encode(), "ascii", "byte 11, line 2: 0xC3 is not ascii", "utf-8"),
        (b"id,city\n1,K\x81ln\n", "windows-1252", "byte 11, line 2: 0x81 is not windows-1252", ""),
        (b"id\n" + b"x" * 1_500_000 + b"\n\xfc\n", "utf-8", "byte 1500004, line 3: 0xFC is not utf-8", "windows-1252"),
        (gzip.compress(b"id\n\xfc\n"), "utf-8", "byte 3, line 2: 0xFC is not utf-8", "windows-1252"),
    ],
)  # fmt: skip
def test_invalid_byte_is_located_and_readable_encodings_are_named(tmp_path, content, encoding, position, candidates):
    name = "a.csv.gz" if content[:2] == b"\x1f\x8b" else "a.csv"
    report = look(tmp_path, name, content, encoding=encoding)
    assert (report.damage, report.position) == ("wrong_encoding", position)
    assert "errors: replace" in report.hint
    assert f"readable as {candidates}" in report.hint


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_utf_16_without_a_mark_is_recognised(tmp_path, encoding):
    report = look(tmp_path, "a.csv", "id,city\n1,Bonn\n".encode(encoding))
    assert (report.damage, report.hint) == ("nul_bytes", f"Set files.options.encoding: {encoding}.")
    assert look(tmp_path, "a.csv", "id,city\n1,Bonn\n".encode(encoding), encoding=encoding).damage is None


@pytest.mark.parametrize(
    ("name", "content", "format", "code", "position", "hint"),
    [
        ("a.csv", b"id,t\n1,a\n2,b\0c\n", "csv", "nul_bytes", "byte 12, line 3", "UTF-16"),
        ("a.csv", b'id,t\n1,"a\nb"\n2,"c\n3,d\n', "csv", "unterminated_quote", "record that begins in line 4", "quote: ''"),
        ("a.csv", b"id,t,ID\n", "csv", "duplicate_column", "columns 1 and 3", "Rename"),
        ("a.json", b'[{"id": 1},\n {"id": }]', "json", "damaged_file", "line 2, column 9", "files.format"),
        ("a.json", b'{"id": 1}\n{"id": 2}\n', "json", "damaged_file", "line 2, column 1", "set files.format: jsonl"),
        ("a.json", b'[{"id": 1}, 5]', "json", "not_records", "element 2", "array of objects"),
        ("a.json", b'[{"id": 1}, null]', "json", "not_records", "element 2", "array of objects"),
        ("a.json", b'"text"', "json", "not_records", "", "array of objects"),
        ("a.json", b"[" * 100_000, "json", "damaged_file", "", "nested too deeply"),
        ("a.csv", gzip.compress(b"id\n1\n"), "csv", "wrong_encoding", "byte 1, line 1: 0x8B is not utf-8", "content is gzip"),
        ("a.csv", parquet(pa.table({"id": [1]})), "csv", "wrong_encoding", None, "content is Parquet"),
        ("a.parquet", parquet(pa.table([pa.array([1]), pa.array([2])], ["id", "Id"])), "parquet", "duplicate_column", "", "Rename"),
    ],
)  # fmt: skip
def test_defect_has_position_and_hint(tmp_path, name, content, format, code, position, hint):
    report = look(tmp_path, name, content, format=format)
    assert report.damage == code
    assert position is None or report.position == position
    assert hint in report.hint


def test_replaced_bytes_are_counted(tmp_path):
    content = "id,city\n1,Köln\n2,Düren \ufffd\n".encode("utf-8").replace("ö".encode(), b"\xf6") + b"3,\xff\xfe\n"
    report = look(tmp_path, "a.csv", content, errors="replace")
    assert (report.damage, report.num_replaced, report.needs_copy) == (None, 3, True)  # F6, FF, FE; U+FFFD is genuine
    assert look(tmp_path, "a.csv", b"id\n1\n", errors="replace").needs_copy is False
