"""How a file is written, by its ending and its first bytes; and what is no table."""

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
def test_the_content_decides_where_the_ending_misleads(tmp_path, name, content, format):
    assert sniffed(LOCAL, written(tmp_path, name, content), "x").format == format


def test_delimiter_and_encoding_are_told(tmp_path):
    options = sniffed(LOCAL, written(tmp_path, "a.csv", "id;Straße\n1;Höhe\n".encode("cp1252")), "x").options
    assert (options.delimiter, options.encoding) == (";", "windows-1252")
    assert sniffed(LOCAL, written(tmp_path, "a.tsv", "id\tname\n1\tAda\n"), "x").options.delimiter == "\t"


def test_the_names_that_records_use_are_those_of_all_of_them(tmp_path):
    path = written(tmp_path, "a.jsonl.gz", gzip.compress(b'{"id": 1, "a": 2}\n{"id": 2, "b": "\xc3\xa9"}\n'))
    assert head_of(LOCAL, path, sniffed(LOCAL, path, "x")) == (("id", "a", "b"), False)
    path = written(tmp_path, "a.json", ' [ {"id": 1}, {"id": 2, "c": {"d": 1}} ] ')
    assert head_of(LOCAL, path, sniffed(LOCAL, path, "x")) == (("id", "c"), True)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("a.csv", "", "empty"),
        ("a.csv", "id;name\n", "no record behind its first line"),
        ("a.csv", "Sales of 2024\n\nid;name;day\n1;Ada;x\n2;Bob;y\n", "no table"),
        ("a.txt", "Dear Ute\nhere are the files\n", "call it .csv"),
        ("a.json", '{"rows": [{"id": 1}]}', "wanted an array of objects"),
    ],
)
def test_what_is_no_table_is_told_why(tmp_path, name, content, why):
    path = written(tmp_path, name, content)
    with pytest.raises(InputError, match=why):
        head_of(LOCAL, path, sniffed(LOCAL, path, "x"))


def test_a_list_of_one_column_and_a_cell_of_a_megabyte_are_tables(tmp_path):
    for content in ("mail\na@x.org\nb@x.org\n", f"id,text\n1,{'x' * 200_000}\n"):
        path = written(tmp_path, "a.csv", content)
        assert head_of(LOCAL, path, sniffed(LOCAL, path, "x")) == ((), True)


def test_a_spreadsheet_an_archive_and_a_letter_are_no_tables():
    assert why_no_table("in/a.XLSX") == "a spreadsheet: save each of its sheets as CSV"
    assert "unpack" in why_no_table("a.zip") and why_no_table("a.pdf") == "no table"
    assert why_no_table("a.csv.gz") is None and why_no_table("a") is None
