"""Large files are cut after a whole record, whatever their format, and the cut is named."""

import gzip
import json
import os
import zipfile

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from crm_spark.onboarding.file_samples import sampled
from crm_spark.sources.config import Source


def source(path, format="csv", **more):
    return Source.model_validate({"name": "x", "system": "x", "files": {"path": path, "format": format, **more}})


def cut(tmp_path, described, num_bytes):
    (tmp_path / "scratch").mkdir()
    return sampled([described], str(tmp_path / "in"), tmp_path / "scratch", max_bytes=num_bytes)


@pytest.fixture(autouse=True)
def folder(tmp_path):
    (tmp_path / "in").mkdir()


def test_small_files_are_read_where_they_are(tmp_path):
    (tmp_path / "in" / "a.csv").write_text("a,b\n1,2\n")
    found = cut(tmp_path, source("a.csv"), 100)
    assert (found.data_dir, found.notes) == (str(tmp_path / "in"), [])


def test_csv_is_cut_outside_quotes(tmp_path):
    (tmp_path / "in" / "a.csv").write_text('a,b\n1,"x\ny\nz"\n2,v\n')
    found = cut(tmp_path, source("a.csv"), 12)  # within the quoted cell of the first record
    assert (tmp_path / "scratch" / "a.csv").read_text() == "a,b\n"
    assert found.data_dir == str(tmp_path / "scratch")
    assert found.notes[0].startswith("x: sampled. About 0 of 0 MB are read, from 1 of 1 files")


def test_newest_files_are_read_first(tmp_path):
    for name, at in (("a1.csv", 1000), ("a2.csv", 3000), ("a3.csv", 2000)):
        path = tmp_path / "in" / name
        path.write_text("a,b\n1,2\n3,4\n")
        os.utime(path, (at, at))
    cut(tmp_path, source("a*.csv"), 20)
    found = {path.name: path.read_text() for path in (tmp_path / "scratch").iterdir()}
    assert found == {"a2.csv": "a,b\n1,2\n3,4\n", "a3.csv": "a,b\n1,2\n"}


def test_packed_text_stays_packed(tmp_path):
    lines = "a,b\n" + "".join(f"{i},x\n" for i in range(9000))
    (tmp_path / "in" / "a.csv.gz").write_bytes(gzip.compress(lines.encode(), 1))
    cut(tmp_path, source("a.csv.gz"), 1000)
    text = gzip.decompress((tmp_path / "scratch" / "a.csv.gz").read_bytes()).decode()
    assert text.startswith("a,b\n0,x\n") and text.endswith(",x\n") and len(text) <= 1000


def test_json_document_keeps_its_form_and_its_numbers(tmp_path):
    (tmp_path / "in" / "a.json").write_text('{"n": 3, "data": {"rows": [{"v": 1.10}, {"v": 2.20}, {"v": 3.30}]}}')
    cut(tmp_path, source("a.json", "json", records="data.rows"), 55)
    text = (tmp_path / "scratch" / "a.json").read_text()
    assert text == '{"n": 3, "data": {"rows": [{"v": 1.10}, {"v": 2.20}]}}'
    assert json.loads(text)["data"]["rows"][1] == {"v": 2.2}


def test_archives_keep_their_members(tmp_path):
    with zipfile.ZipFile(tmp_path / "in" / "a.zip", "w") as archive:
        archive.writestr("x/one.csv", "a,b\n" + "1,2\n" * 100)
        archive.writestr("readme.txt", "text")
    cut(tmp_path, source("a.zip!**/*.csv"), 40)
    with zipfile.ZipFile(tmp_path / "scratch" / "a.zip") as archive:
        assert archive.namelist() == ["x/one.csv"]
        assert archive.read("x/one.csv") == b"a,b\n" + b"1,2\n" * 9


def test_parquet_keeps_its_schema(tmp_path):
    pq.write_table(pa.table({"a": list(range(10_000))}), tmp_path / "in" / "a.parquet")
    size = (tmp_path / "in" / "a.parquet").stat().st_size
    cut(tmp_path, source("a.parquet", "parquet"), size // 4)
    table = pq.read_table(tmp_path / "scratch" / "a.parquet")
    assert table.schema.names == ["a"] and 2490 < table.num_rows <= 2500  # a quarter of 10,000
    assert table["a"].to_pylist() == list(range(table.num_rows))
