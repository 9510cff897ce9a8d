"""Killed while a table is being made: its log is begun and holds no commit. The next write makes the table."""

from dataclasses import replace
from pathlib import Path

import pytest
from py4j.protocol import Py4JJavaError
from pyspark.errors import AnalysisException
from support.notes import NOTE, content, notes

from crm_spark.core.context import in_parallel

DRAFT = ".00000000000000000000.json.5e1f.tmp"


def begun_log(store, *files):
    log = Path(store.path(NOTE)) / "_delta_log"
    (log / "_staged_commits").mkdir(parents=True)
    for name in files:
        (log / name).write_text('{"commitInfo"')
    return log


@pytest.mark.parametrize("files", [[], [DRAFT], [DRAFT, f".{DRAFT}.crc"]], ids=["folders", "draft", "checksum"])
@pytest.mark.parametrize("write", ["append", "merge", "replace"])
def test_next_write_creates_a_table_whose_creation_was_killed(spark, store, write, files):
    begun_log(store, *files)
    getattr(store, write)(NOTE, notes(spark, ("a", 1)), batch_id="b", digest="d")
    assert content(store) == [("a", 1)]


def test_table_that_another_thread_is_creating_is_not_treated_as_killed(spark, store):
    """Deliveries of one source are appended side by side, and the first of them makes the table."""
    for round_ in range(8):
        table = replace(NOTE, name=f"silver.note_{round_}")
        frames = [(f"{n}", notes(spark, (f"{n}", n))) for n in range(4)]
        in_parallel(
            lambda each, table=table: store.append(table, each[1], batch_id=each[0], digest=each[0]),
            frames,
            num_threads=4,
        )
        assert sorted(row["id"] for row in store.read(table).collect()) == ["0", "1", "2", "3"]


@pytest.mark.parametrize("name", ["00000000000000000007.json", "unknown"])
def test_log_with_files_other_than_drafts_is_not_removed(spark, store, name):
    """The negative control: what may be a commit is never cleared away, whatever becomes of the write."""
    log = begun_log(store, name)
    with pytest.raises((AnalysisException, Py4JJavaError)):  # as Delta finds fault with it early or late
        store.append(NOTE, notes(spark, ("a", 1)), batch_id="b", digest="d")
    assert (log / name).read_text() == '{"commitInfo"'
