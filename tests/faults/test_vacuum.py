"""VACUUM beside a reader: with the retention that the session insists on no file goes that a reader may still open."""

import os
import time
from datetime import timedelta

import pytest
from pyspark.errors import IllegalArgumentException
from support.notes import NOTE, notes

CHECK = "spark.databricks.delta.retentionDurationCheck.enabled"
NUM_FILES = 4


@pytest.fixture
def one_file_per_task(spark):
    """So that a reader that has planned its files opens each of them when it comes to it."""
    spark.conf.set("spark.sql.files.minPartitionNum", str(NUM_FILES))
    yield
    spark.conf.unset("spark.sql.files.minPartitionNum")


def replaced(store, number):
    rows = notes(store.spark, *((f"n{n}", number) for n in range(NUM_FILES)))
    store.replace(NOTE, rows.repartition(NUM_FILES, "id"), batch_id=f"b{number}", digest=f"d{number}")


def begun(store):
    """A reader that has opened the first of its files, and what it read there."""
    reader = store.read(NOTE).toLocalIterator()
    return reader, [next(reader)]


def vacuum(store, retain=""):
    store.spark.sql(f"VACUUM delta.`{store.path(NOTE)}` {retain}")


def abandoned(store):
    """A file that no commit ever named, older than any retention."""
    path = f"{store.path(NOTE)}/part-abandoned.parquet"
    open(path, "wb").close()
    long_ago = time.time() - timedelta(days=30).total_seconds()
    os.utime(path, (long_ago, long_ago))
    return path


def test_readers_finish_while_the_table_is_replaced_and_vacuumed(store, one_file_per_task):
    """20 of them, begun on two versions; the first ten outlive two vacuums."""
    replaced(store, 0)
    under_way = []
    for number in range(2):
        under_way += [(number, *begun(store)) for _ in range(10)]
        replaced(store, number + 1)
        path = abandoned(store)
        vacuum(store)
        assert not os.path.exists(path), "it does its work"
    for number, reader, read in under_way:
        assert sorted(map(tuple, [*read, *reader])) == [(f"n{n}", number) for n in range(NUM_FILES)]


def test_too_short_a_retention_is_rejected(store):
    replaced(store, 0)
    with pytest.raises(IllegalArgumentException, match="retention"):
        vacuum(store, "RETAIN 0 HOURS")


@pytest.mark.slow
def test_without_the_check_the_same_reader_fails(spark, store, one_file_per_task):
    replaced(store, 0)
    reader, _ = begun(store)
    replaced(store, 1)
    spark.conf.set(CHECK, "false")
    try:
        vacuum(store, "RETAIN 0 HOURS")
    finally:
        spark.conf.unset(CHECK)
    with pytest.raises(Exception, match=r"does not exist|FILE_NOT_EXIST|FileNotFound"):
        list(reader)
