"""A source that cannot work is refused before a row is read."""

import pytest

from crm_spark.contracts.bronze_columns import decoded, encoded
from crm_spark.core.config import validated
from crm_spark.core.errors import ConfigError
from crm_spark.sources.config import Files, load_source

ORDER = "order_id: No\n      ordered_at: {from: Day, formats: ['yyyy-MM-dd']}\n      status: {value: completed}\n"


def written(tmp_path, columns=ORDER, head="files: {path: '*.csv', format: csv}\n"):
    path = tmp_path / "shop.yaml"
    path.write_text(f"{head}feeds:\n  order:\n    columns:\n      {columns}")
    return path


def blocked(path):
    with pytest.raises(ConfigError) as caught:
        load_source(path)
    return str(caught.value)


def test_system_defaults_to_the_name_of_the_file(tmp_path):
    assert load_source(written(tmp_path)).system == "shop"


def test_column_the_entity_lacks_is_named(tmp_path):
    assert "feeds.order.columns.colour: no such column" in blocked(written(tmp_path, ORDER + "      colour: C\n"))


def test_required_column_nobody_maps_is_named(tmp_path):
    said = blocked(written(tmp_path, "order_id: No\n      status: {value: completed}\n"))
    assert "nothing is mapped to ordered_at, which may not be empty" in said


def test_two_origins_of_one_value_are_refused(tmp_path):
    columns = ORDER.replace("order_id: No", "order_id: {from: No, value: x}")
    assert "give exactly one of from, value, hash_of, cases" in blocked(written(tmp_path, columns))


def test_unknown_zone_is_refused(tmp_path):
    assert "zone of the IANA data base" in blocked(
        written(tmp_path, head="time_zone: Mars/Base\nfiles: {path: x, format: csv}\n")
    )


def test_unknown_format_says_what_is_allowed(tmp_path):
    assert "'csv', 'jsonl', 'json' or 'parquet'" in blocked(written(tmp_path, head="files: {path: x, format: xls}\n"))


def test_unknown_encoding_is_refused(tmp_path):
    head = "files: {path: x, format: csv, options: {encoding: latin-77}}\n"
    assert "no such encoding 'latin-77'" in blocked(written(tmp_path, head=head))


@pytest.mark.parametrize(
    "glob",
    [
        "/etc/passwd", "//host/share/*", "~/x.csv", "~root/x.csv", "../x.csv", "../../etc/*", "x/../../y.csv", "x/..",
        "./../x", "..", ".", "./x.csv", "x/./y.csv", "file:///etc/passwd", "s3a://bucket/*", "hdfs:/x", "http://h/x",
        "C:/x.csv", "C:\\x.csv", "..\\x.csv", "x\\..\\y", "\\\\host\\share", "jar:file:x!y", "a\0b.csv",
    ],
)  # fmt: skip
def test_a_path_that_leads_out_of_the_data_folder_is_refused(glob):
    with pytest.raises(ConfigError, match="wanted a path below"):
        validated(Files, {"path": glob, "format": "csv"}, origin="shop.yaml")


@pytest.mark.parametrize("glob", ["*.csv", "*/orders*.csv", "**/a..b.csv", "2025/[x]/.orders", "a b/ü*.csv"])
def test_a_path_below_the_data_folder_is_taken(glob):
    assert validated(Files, {"path": glob, "format": "csv"}, origin="shop.yaml").path == glob


def test_files_or_jdbc_must_be_given(tmp_path):
    assert "give either files or jdbc" in blocked(written(tmp_path, head=""))


def test_an_overlap_wants_a_watermark(tmp_path):
    head = "jdbc: {url: 'jdbc:postgresql:erp', table: client, overlap: 60}\n"
    assert "jdbc.overlap: wanted jdbc.watermark beside it" in blocked(written(tmp_path, head=head))


def test_column_names_come_back_from_their_stored_spelling():
    for name in ("Clothing ID", "a,b;c", "100%", "_id", "späße", "x.y", "tab\there"):
        assert decoded(encoded(name, 0)) == name
    assert encoded("Review Text", 3) == "Review%20Text"
    assert encoded("", 0) == "c0"
