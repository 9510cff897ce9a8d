"""Detection of format, encoding and delimiter, and of files that are not tables."""

import gzip

import pytest
from pyarrow import fs

from crm_spark.core.errors import InputError
from crm_spark.onboarding.format_detection import head_of, sniffed, why_no_table

LOCAL = fs.LocalFileSystem()


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return str(path)


@pytest.mark.parametrize(
    ("name", "content", "format"),
    [
        ("a.json", '{"id": 1}\n{"id": 2}\n', "jsonl"),
        ("a.json", '[{"id": 1},\n {"id": 2}]\n', "json"),
        ("a.json", '{\n"rows": [1]}\n', "json"),
        ("a.log", '{"id": 1}\n', "jsonl"),
        ("a.JSONL", '{"id": 1}\n', "jsonl"),
        ("a.txt", "id\tname\n1\tAda\n", "csv"),
    ],
)
def test_content_takes_precedence_over_a_misleading_extension(tmp_path, name, content, format):
    assert sniffed(LOCAL, written(tmp_path, name, content), "x").format == format


def test_delimiter_and_encoding_are_detected(tmp_path):
    options = sniffed(LOCAL, written(tmp_path, "a.csv", "id;Straße\n1;Höhe\n".encode("cp1252")), "x").options
    assert (options.delimiter, options.encoding) == (";", "windows-1252")
    assert sniffed(LOCAL, written(tmp_path, "a.tsv", "id\tname\n1\tAda\n"), "x").options.delimiter == "\t"


def test_json_columns_are_the_union_over_records(tmp_path):
    path = written(tmp_path, "a.jsonl.gz", gzip.compress(b'{"id": 1, "a": 2}\n{"id": 2, "b": "\xc3\xa9"}\n'))
    assert head_of(LOCAL, path, sniffed(LOCAL, path, "x")) == (("id", "a", "b"), False)
    path = written(tmp_path, "a.json", ' [ {"id": 1}, {"id": 2, "c": {"d": 1}} ] ')
    assert head_of(LOCAL, path, sniffed(LOCAL, path, "x")) == (("id", "c"), True)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "", "empty"),
        ("a.csv", "id;name\n", "no records after the header line"),
        ("a.csv", "Sales of 2024\n\nid;name;day\n1;Ada;x\n2;Bob;y\n", "not a table"),
        ("a.txt", "Dear Ute\nhere are the files\n", "use the extension .csv"),
        ("a.json", '{"rows": [{"id": 1}]}', "expected an array of objects"),
    ],
)
def test_file_that_is_not_a_table_is_rejected_with_a_reason(tmp_path, name, content, reason):
    path = written(tmp_path, name, content)
    with pytest.raises(InputError, match=reason):
        head_of(LOCAL, path, sniffed(LOCAL, path, "x"))


def test_single_column_and_very_long_cells_are_accepted(tmp_path):
    for content in ("mail\na@x.org\nb@x.org\n", f"id,text\n1,{'x' * 200_000}\n"):
        path = written(tmp_path, "a.csv", content)
        assert head_of(LOCAL, path, sniffed(LOCAL, path, "x")) == ((), True)


def test_unsupported_extensions_have_a_reason():
    assert why_no_table("in/a.XLSX") == "spreadsheet: save each sheet as CSV"
    assert "unpack" in why_no_table("a.zip") and why_no_table("a.pdf") == "not a table"
    assert why_no_table("a.csv.gz") is None and why_no_table("a") is None
