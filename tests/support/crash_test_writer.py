"""Writes batch after batch to one table until it is killed, and goes on with the first batch that is not there.

`python tests/support/crash_test_writer.py LAKE [FOLDER ORDER]`; it says the number of each batch as it begins it and again as it
has written it. A batch of an even number appends; one of an odd number merges: it adds rows and changes one that all odd
batches share. With a folder, progress is kept in a file there instead of in the table, noted `before` or `after` the write;
such a writer kills itself between the two in batch 1, once.
"""

import bisect
import os
import signal
import sys
from pathlib import Path

from support.notes import NOTE, notes

from crm_spark.core.session import SessionConfig, build_session
from crm_spark.core.tables import TableStore

NUM_ROWS = 20
"""Rows that a batch adds."""
NO_END = 100_000


def rows_of(number):
    return [(f"{number}-{i}", number) for i in range(NUM_ROWS)]


def content_after(num_batches):
    """Rows of the table once batches 0 .. num_batches - 1 are there, each once."""
    odd = range(1, num_batches, 2)
    newest = [("newest", odd[-1])] if odd else []
    return sorted([row for number in range(num_batches) for row in rows_of(number)] + newest)


def write(store, number):
    batch = {"batch_id": f"batch {number}", "digest": f"content {number}"}
    if number % 2:
        return store.merge(NOTE, notes(store.spark, *rows_of(number), ("newest", number)), **batch)
    return store.append(NOTE, notes(store.spark, *rows_of(number)), **batch)


def first_missing(store):
    """The batches come in order: those that the table has seen are the first."""

    def is_missing(number):
        return not store.committed(NOTE, f"batch {number}", f"content {number}")

    return bisect.bisect_left(range(NO_END), True, key=is_missing)


def go_on(store, *, end=NO_END):
    for number in range(first_missing(store), end):
        print(number, flush=True)
        write(store, number)
        print(number, flush=True)


def go_on_by_a_file(store, folder, order, *, end=NO_END):
    """The same with plain appends and the number of the next batch in a file."""
    progress = folder / "next_batch"
    is_first_time = not progress.exists()
    for number in range(int(progress.read_text()) if progress.exists() else 0, end):

        def note(number=number):
            progress.write_text(str(number + 1))

        def append(number=number):
            rows = notes(store.spark, *rows_of(number))
            rows.write.format("delta").mode("append").save(store.path(NOTE))

        first, last = (note, append) if order == "before" else (append, note)
        first()
        if is_first_time and number == 1:
            os.killpg(0, signal.SIGKILL)
        last()


if __name__ == "__main__":
    config = SessionConfig(
        master="local[2,4]",
        driver_memory="1g",
        shuffle_partitions=2,
        java_options="-XX:TieredStopAtLevel=1 -XX:+UseSerialGC -XX:ReservedCodeCacheSize=256m",
        settings={"spark.sql.adaptive.enabled": "false"},
    )
    lake, *by_a_file = sys.argv[1:]
    store = TableStore(build_session(config, app_name="killed writer"), lake)
    if by_a_file:
        go_on_by_a_file(store, Path(by_a_file[0]), by_a_file[1])
    go_on(store)
