"""Listing of a source's files."""

import os

import pytest

from crm_spark.core.errors import InputError
from crm_spark.sources.config import load_source
from crm_spark.stages.ingest.discovery import Delivery, glob_pattern, list_files
from crm_spark.stages.ingest.source_file import SourceFile


def source(tmp_path, glob):
    path = tmp_path / "s.yaml"
    path.write_text(f"files: {{path: '{glob}', format: csv}}\n")
    return load_source(path)


def lay(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a\n1\n")


def test_glob_star_matches_one_folder_and_double_star_descends(tmp_path):
    assert glob_pattern("*/a*.csv").fullmatch("x/a1.csv") and not glob_pattern("*/a*.csv").fullmatch("x/y/a1.csv")
    assert glob_pattern("**/a.csv").fullmatch("x/y/a.csv") and glob_pattern("**/a.csv").fullmatch("a.csv")


def test_hidden_and_temporary_files_are_ignored(tmp_path):
    lay(tmp_path / "data", "d/a.csv", "d/.a.csv", "d/_a.csv", "d/a.csv.tmp", "d/b.txt")
    assert [f.name for f in list_files(None, source(tmp_path, "*/*"), str(tmp_path / "data"))] == ["d/a.csv", "d/b.txt"]


@pytest.mark.parametrize(
    "target",
    [
        "../../secret.csv",
        "../../database/secret.csv",
        "{root}/secret.csv",
        "../d/../../secret.csv",
        "../link/secret.csv",
        "../../data/../secret.csv",
        "/proc/self/environ",
        "/dev/zero",
        "{root}/data2/secret.csv",
        "../../nowhere.csv",
    ],
)
def test_link_outside_the_data_folder_is_blocked(tmp_path, target):
    lay(tmp_path, "secret.csv", "database/secret.csv", "data2/secret.csv", "data/d/a.csv")
    os.symlink(tmp_path, tmp_path / "data" / "link")
    os.symlink(target.format(root=tmp_path), tmp_path / "data" / "d" / "b.csv")
    files = list_files(None, source(tmp_path, "d/*.csv"), str(tmp_path / "data"))
    assert [(f.name, f.blocked) for f in files] == [("d/a.csv", None), ("d/b.csv", "leads_outside")]


def test_files_behind_a_link_to_an_outside_folder_are_blocked(tmp_path):
    lay(tmp_path, "other/secret.csv", "data/d/a.csv")
    os.symlink(tmp_path / "other", tmp_path / "data" / "e")
    files = list_files(None, source(tmp_path, "*/*.csv"), str(tmp_path / "data"))
    assert {f.name: f.blocked for f in files}["d/a.csv"] is None
    assert all(f.blocked == "leads_outside" for f in files if f.name.startswith("e/"))


def test_link_inside_the_data_folder_is_followed(tmp_path):
    lay(tmp_path, "data/d/a.csv")
    os.symlink("a.csv", tmp_path / "data" / "d" / "b.csv")
    files = list_files(None, source(tmp_path, "*/*.csv"), str(tmp_path / "data"))
    assert [(f.name, f.blocked) for f in files] == [("d/a.csv", None), ("d/b.csv", None)]


def test_broken_link_is_listed_and_blocked_if_it_points_outside(tmp_path):
    lay(tmp_path, "data/d/a.csv")
    os.symlink("nowhere.csv", tmp_path / "data" / "d" / "inside.csv")
    os.symlink("itself.csv", tmp_path / "data" / "d" / "itself.csv")
    os.symlink(tmp_path / "nowhere.csv", tmp_path / "data" / "d" / "outside.csv")
    files = list_files(None, source(tmp_path, "*/*.csv"), str(tmp_path / "data"))
    assert [(f.name, f.blocked, f.num_bytes) for f in files] == [
        ("d/a.csv", None, 4), ("d/inside.csv", None, 0), ("d/itself.csv", None, 0), ("d/outside.csv", "leads_outside", 0),
    ]  # fmt: skip


def test_folder_named_like_a_file_is_listed_unless_it_contains_files(tmp_path):
    lay(tmp_path / "data", "d/whole.csv/part-0.csv", "d/e/a.csv")
    (tmp_path / "data" / "d" / "empty.csv").mkdir()
    root = str(tmp_path / "data")
    every = [f.name for f in list_files(None, source(tmp_path, "**/*.csv"), root)]
    assert every == ["d/e/a.csv", "d/empty.csv", "d/whole.csv/part-0.csv"]
    assert [f.name for f in list_files(None, source(tmp_path, "*/*.csv"), root)] == ["d/empty.csv", "d/whole.csv"]
    assert list_files(None, source(tmp_path, "*/*"), root) == [], "a folder between is no file"


def test_missing_data_folder_is_an_error(tmp_path):
    with pytest.raises(InputError, match="nowhere is not a folder"):
        list_files(None, source(tmp_path, "*"), str(tmp_path / "nowhere"))


def test_batch_id_depends_on_names_and_contents_not_on_order():
    from datetime import datetime

    a, b = (SourceFile("s", name, name, 1, datetime(2025, 1, 1)) for name in "ab")
    assert Delivery("s", (a, b), ("1", "2")).batch_id == Delivery("s", (b, a), ("2", "1")).batch_id
    assert Delivery("s", (a, b), ("1", "2")).batch_id != Delivery("s", (a, b), ("2", "1")).batch_id


def test_data_folder_may_be_a_file_uri(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.csv").write_text("x")
    for data_dir in (str(tmp_path / "data"), f"file://{tmp_path / 'data'}", f"file:{tmp_path / 'data'}"):
        assert [f.path for f in list_files(None, source(tmp_path, "*"), data_dir)] == [str(tmp_path / "data" / "a.csv")]
