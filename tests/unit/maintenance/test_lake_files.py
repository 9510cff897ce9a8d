"""What may be removed from the files of a lake, and what is in use."""

import json
import os

import pytest

from crm_spark.maintenance.lake_files import removals


@pytest.fixture
def files(tmp_path):
    """Files of a lake after many nights; folders get older from the first to the last of each line."""
    root = tmp_path / "lake" / "files"
    age = 0
    for parent, names in {
        "models": ("aaa", "bbb", "ccc", "ddd", "eee", "teacher", "unregistered", ".fff.removed"),
        "shards": ("now", "before", "incomplete"),
        "training": ("now", "before"),
        "fitted/churn": ("f5", "f4", "f3", "f2", "f1", ".f6.draft"),
        "unpacked": ("delivery",),
    }.items():
        for name in names:
            folder = root / parent / name
            folder.mkdir(parents=True)
            (folder / "content").write_text("1234567890")
            age += 100
            os.utime(folder, (1e9 - age, 1e9 - age))
    registry = {"production": "aaa", "candidate": "bbb", "archived": ["ddd", "ccc"]}
    (root / "models" / "registry.json").write_text(json.dumps(registry))
    (root / "shards" / "current").write_text("now")
    for name in ("now", "before"):
        (root / "shards" / name / "manifest.json").write_text("{}")
    (root / "fitted" / "churn" / "f3" / "card.json").write_text('{"as_of": "2025-03-01", "settings": "s"}')
    (root / "fitted" / "churn" / "current").write_text("f3")
    (root / ".failure.json.draft").write_text("x")
    (root / "report.html").write_text("x")
    scratch = root.parent / "_scratch" / "clean"
    scratch.mkdir(parents=True)
    (scratch / "rows.parquet").write_text("x")
    return root


def removed(files, **how):
    found = removals(files, **{"keep_versions": 1, "teacher": "teacher", **how})
    return {str(each.path.relative_to(files.parent)) for each in found}


def test_what_is_in_use_or_among_the_latest_is_kept(files):
    assert removed(files) == {
        "files/models/ddd",  # archived before ccc
        "files/models/eee",
        "files/models/unregistered",
        "files/models/.fff.removed",
        "files/shards/before",
        "files/training/before",
        "files/fitted/churn/f4",  # f3 is in use, f5 the latest of the others
        "files/fitted/churn/f2",
        "files/fitted/churn/f1",
        "files/fitted/churn/.f6.draft",
        "files/unpacked",
        "files/.failure.json.draft",
        "_scratch/clean",
    }


def test_no_version_in_use_goes_even_if_none_is_to_be_kept(files):
    assert removed(files, keep_versions=0, teacher=None) - removed(files) == {
        "files/models/ccc",
        "files/models/teacher",
        "files/fitted/churn/f5",
    }


def test_no_shard_set_goes_while_none_is_current(files):
    (files / "shards" / "current").unlink()
    assert not {each for each in removed(files) if "shards" in each}


def test_a_new_lake_has_nothing_to_remove(tmp_path):
    assert removals(tmp_path / "files", keep_versions=0, teacher=None) == []


def test_the_size_of_a_removal_is_that_of_its_files(files):
    sizes = {each.path.name: each.num_bytes for each in removals(files, keep_versions=1, teacher=None)}
    assert sizes["eee"] == 10 and sizes[".failure.json.draft"] == 1
