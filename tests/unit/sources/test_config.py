"""Validation of source configurations."""

import pytest

from crm_spark.contracts.bronze_columns import decoded, encoded
from crm_spark.core.config import validated
from crm_spark.core.errors import ConfigError
from crm_spark.sources.config import load_source, load_sources
from crm_spark.sources.files import Files

ORDER = "order_id: No\n      ordered_at: {from: Day, formats: ['yyyy-MM-dd']}\n      status: {value: completed}\n"


def written(tmp_path, columns=ORDER, head="files: {path: '*.csv', format: csv}\n"):
    path = tmp_path / "shop.yaml"
    path.write_text(f"{head}feeds:\n  order:\n    columns:\n      {columns}")
    return path


def error_of(path):
    with pytest.raises(ConfigError) as caught:
        load_source(path)
    return str(caught.value)


def test_system_defaults_to_the_name_of_the_file(tmp_path):
    assert load_source(written(tmp_path)).system == "shop"


def test_unknown_entity_column_is_rejected(tmp_path):
    assert "feeds.order.columns.colour: unknown column" in error_of(written(tmp_path, ORDER + "      colour: C\n"))


def test_unmapped_required_column_is_rejected(tmp_path):
    message = error_of(written(tmp_path, "order_id: No\n      status: {value: completed}\n"))
    assert "required columns without a mapping: ordered_at" in message


def test_mapping_with_two_origins_is_rejected(tmp_path):
    columns = ORDER.replace("order_id: No", "order_id: {from: No, value: x}")
    assert "set exactly one of from, value, hash_of and cases" in error_of(written(tmp_path, columns))


def test_unknown_time_zone_is_rejected(tmp_path):
    assert "expected an IANA time zone" in error_of(
        written(tmp_path, head="time_zone: Mars/Base\nfiles: {path: x, format: csv}\n")
    )


def test_unknown_format_error_lists_allowed_formats(tmp_path):
    message = error_of(written(tmp_path, head="files: {path: x, format: xls}\n"))
    assert "'csv', 'jsonl', 'json', 'parquet', 'excel' or 'fixed_width'" in message


def test_unknown_encoding_is_rejected(tmp_path):
    head = "files: {path: x, format: csv, options: {encoding: latin-77}}\n"
    assert "unknown encoding 'latin-77'" in error_of(written(tmp_path, head=head))


@pytest.mark.parametrize(
    "glob",
    [
        "/etc/passwd", "//host/share/*", "~/x.csv", "~root/x.csv", "../x.csv", "../../etc/*", "x/../../y.csv", "x/..",
        "./../x", "..", ".", "./x.csv", "x/./y.csv", "file:///etc/passwd", "s3a://bucket/*", "hdfs:/x", "http://h/x",
        "C:/x.csv", "C:\\x.csv", "..\\x.csv", "x\\..\\y", "\\\\host\\share", "jar:file:x!y", "a\0b.csv",
    ],
)  # fmt: skip
def test_path_outside_the_data_folder_is_rejected(glob):
    with pytest.raises(ConfigError, match="expected a path relative to"):
        validated(Files, {"path": glob, "format": "csv"}, origin="shop.yaml")


@pytest.mark.parametrize("glob", ["*.csv", "*/orders*.csv", "**/a..b.csv", "2025/[x]/.orders", "a b/ü*.csv"])
def test_path_inside_the_data_folder_is_accepted(glob):
    assert validated(Files, {"path": glob, "format": "csv"}, origin="shop.yaml").path == glob


@pytest.mark.parametrize("path", ["export.csv!a.csv", "export.zip!", "a.zip!b.zip!c.csv", "!a.csv"])
def test_path_into_something_other_than_an_archive_is_rejected(tmp_path, path):
    message = error_of(written(tmp_path, head=f"files: {{path: '{path}', format: csv}}\n"))
    assert message.startswith(
        f"{tmp_path}/shop.yaml: files.path: expected one '!' between the path of an archive and its members"
    )


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ("format: fixed_width", "a fixed-width file needs table.widths"),
        ("format: csv, table: {widths: {id: 3}}", "a fixed-width file needs table.widths"),
        ("format: csv, table: {sheet: 1}", "only a workbook has sheets"),
        ("format: csv, records: rows", "only JSON has a path to its records"),
        ("format: jsonl, table: {skip_lines: 1}", "a jsonl file has none"),
        ("format: csv, table: {header: [a], header_contains: [a]}", "the file has no header"),
        ("format: csv, table: {skip_lines: -1}", "greater than or equal to 0"),
    ],
)
def test_settings_of_another_form_of_file_are_rejected(tmp_path, files, message):
    assert message in error_of(written(tmp_path, head=f"files: {{path: x, {files}}}\n"))


def test_lookup_in_an_unknown_source_is_rejected(tmp_path):
    feed = "feeds: {product: {columns: {product_id: {from: id, lookup: {source: names, key: a, value: b}}}}}\n"
    (tmp_path / "shop.yaml").write_text("files: {path: x, format: csv}\n" + feed)
    with pytest.raises(
        ConfigError, match=r"shop\.yaml: lookup\.source: there is no source names; expected one of shop"
    ):
        load_sources(tmp_path)


@pytest.mark.parametrize(
    ("options", "key", "message"),
    [
        ("{quote: '\"\"'}", "files.options.quote", "at most 1 character"),
        ("{quote: ',', delimiter: ','}", "files.options", "quote: ',' is part of the delimiter"),
        ("{delimiter: '\"'}", "files.options", "is part of the delimiter"),
        ("{escape: ';', delimiter: ';'}", "files.options", "escape: ';' is part of the delimiter"),
        ('{delimiter: "\\n"}', "files.options.delimiter", "cannot contain line breaks"),
        ("{delimiter: ''}", "files.options.delimiter", "at least 1 character"),
        ('{quote: "\\n"}', "files.options.quote", "a line break or NUL cannot be used"),
        ("{escape: '\\\\x'}", "files.options.escape", "at most 1 character"),
        ("{errors: ignore}", "files.options.errors", "'strict' or 'replace'"),
        ("{encoding: rot13}", "files.options.encoding", "unknown encoding 'rot13'"),
        ("{encoding: undefined}", "files.options.encoding", "unknown encoding 'undefined'"),
    ],
)
def test_file_options_that_cannot_work_are_rejected_with_file_and_key(tmp_path, options, key, message):
    head = f"files: {{path: x, format: csv, options: {options}}}\n"
    error = error_of(written(tmp_path, head=head))
    assert error.startswith(f"{tmp_path}/shop.yaml: {key}: ") and message in error


@pytest.mark.parametrize(
    "options", [{"quote": ""}, {"quote": "", "delimiter": '"'}, {"delimiter": "||"}, {"escape": ""}]
)
def test_file_options_that_work_are_accepted(options):
    validated(Files, {"path": "x", "format": "csv", "options": options}, origin="shop.yaml")


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ("{from: No, extract: '[0-9]+'}", "the regular expression needs a group"),
        ("{from: No, extract: '([0-9]+'}", "not a regular expression"),
        ("{cases: [{column: No, matches: '*', value: x}]}", "not a regular expression"),
    ],
)
def test_regular_expressions_that_cannot_work_are_rejected(tmp_path, mapping, message):
    assert message in error_of(written(tmp_path, ORDER.replace("order_id: No", f"order_id: {mapping}")))


def test_regular_expressions_of_java_are_accepted(tmp_path):
    columns = ORDER.replace("order_id: No", r"order_id: {from: No, extract: '^\p{L}+(?<number>\d+)$'}")
    assert load_source(written(tmp_path, columns))


def test_files_or_jdbc_is_required(tmp_path):
    assert "set exactly one of files and jdbc" in error_of(written(tmp_path, head=""))


def test_overlap_requires_a_watermark(tmp_path):
    head = "jdbc: {url: 'jdbc:postgresql:erp', table: client, overlap: 60}\n"
    assert "jdbc.overlap requires jdbc.watermark" in error_of(written(tmp_path, head=head))


def test_encoded_column_names_are_decoded():
    for name in ("Clothing ID", "a,b;c", "100%", "_id", "späße", "x.y", "tab\there"):
        assert decoded(encoded(name, 0)) == name
    assert encoded("Review Text", 3) == "Review%20Text"
    assert encoded("", 0) == "c0"
