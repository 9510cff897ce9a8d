"""Detection of format, encoding and delimiter, and of files that are not tables."""

import gzip

import pytest
from pyarrow import fs
from support.workbook import workbook

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
        ("a.csv", "Sales;of 2024\n1\n1;Ada;x\n2;Bob;y;z\n7;8\n", "not a table"),
        ("a.txt", "Dear Ute\nhere are the files\n", "use the extension .csv"),
        ("a.json", '{"rows": [1, 2]}', "expected an array of objects"),
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
    assert "unpack" in why_no_table("a.zip") and why_no_table("a.pdf") == "not a table"
    assert why_no_table("a.csv.gz") is None and why_no_table("a") is None


@pytest.mark.parametrize(
    ("content", "delimiter", "table"),
    [
        ("id;name\n1;Ada\n2;Bob\n", ";", {}),
        ("Sales of 2024\n\nid;name;day\n1;Ada;x\n2;Bob;y\n", ";", {"header_contains": ["id", "name", "day"]}),
        ("# made by a tool, v1\n# 2024\n\nid,page,ts\n1,/a,17\n2,/b,18\n,,Total\n", ",", {"comment": "#"}),
        ("sep=;\nid;given;family\n1;Ada;A,B\n2;Bob;C,D\n", ";", {}),
        ("Kunde,Müller\nid,name,day\n1,Ada,x\n2,Bob,y\n3,Cid,z\n", ",", {"header_contains": ["id", "name", "day"]}),
        ("mail\na@x.org\nb@x.org\n", ",", {}),
    ],
)
def test_the_header_is_found_below_other_lines(tmp_path, content, delimiter, table):
    path = written(tmp_path, "a.csv", content)
    how = sniffed(LOCAL, path, "x")
    assert how.options.delimiter == delimiter
    assert how.table.model_dump(exclude_defaults=True) == table
    head_of(LOCAL, path, how)


def test_a_workbook_is_read_from_its_first_sheet_with_a_table(tmp_path):
    book = workbook({"Cover": [["Our shop"]], "Orders": [["May"], [], ["id", "name"], [1, "Ada"], [2, "Bob"]]})
    path = written(tmp_path, "a.xlsx", book)
    how = sniffed(LOCAL, path, "x")
    assert how.model_dump(exclude_defaults=True) == {
        "path": "x", "format": "excel", "table": {"sheet": "Orders", "header_contains": ["id", "name"]},
    }  # fmt: skip
    assert head_of(LOCAL, path, how) == ((), True)
    with pytest.raises(InputError, match="as a workbook"):
        sniffed(LOCAL, written(tmp_path, "b.xlsx", b"PK\x03\x04no workbook"), "x")


@pytest.mark.parametrize(
    ("content", "records"),
    [
        ('{"tickets": [{"id": 1}, {"id": 2}], "count": 2}', "tickets"),
        ('{"next": null, "data": {"page": 1, "orders": [\n{"id": 1}, {"id": 2}]}}', "data.orders"),
        ('[{"id": 1, "items": [{"id": 9}]}, {"id": 2}]', None),
        ('{"a": "{", "tags": ["x"], "rows": [{"id": 1}, {"id": 2, "b": [', "rows"),
    ],
)
def test_the_list_of_records_in_a_document_is_found(tmp_path, content, records):
    path = written(tmp_path, "a.json", content)
    how = sniffed(LOCAL, path, "x")
    assert (how.format, how.records) == ("json", records)
    assert "id" in head_of(LOCAL, path, how)[0]
