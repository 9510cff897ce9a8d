"""A job that kills its own process group, the JVM with it, at a named point of its stage.

`python tests/support/crash_test_job.py STAGE POINT --conf FILE --lake DIR ...`; the points of a stage, in order:

- `start`: before the stage's first line;
- `read`: its inputs are read, nothing of its result is written. A table: its rows are made and checked, the first commit
  is next. Shards: the texts are counted and assigned. Training: the shard set is verified, the ranks are next. The report: the
  facts are collected;
- `data_files`: what the first commit will name lies there, the commit does not. A table: a data file is whole and the log
  does not know it. Shards: all of them and the draft of the manifest. Training: the model, not yet in its place. The
  report: the draft of its findings;
- `commit`: the first commit stands and nothing after it. A table: of several, the first. Shards: the manifest, which nothing
  points to. Training: the model, which is not registered. The report: its findings without the page;
- `done`: all is written but the row in ops.run;
- `ledger`: the row in ops.run stands, the job has not ended.

A job that does not reach its point ends by itself, with another exit code than -SIGKILL.
"""

import os
import signal
import sys
import threading
import time
from pathlib import Path

from crm_spark.cli.app import run as main
from crm_spark.contracts.ops import RUN
from crm_spark.core.tables import TableStore
from crm_spark.pipeline import Pipeline
from crm_spark.pipeline.ledger import Ledger

POINTS = ("start", "read", "data_files", "commit", "done", "ledger")
READ_BY = {"shard": "_write", "train": "launch", "report": "render"}
"""Stages whose first commit is a file that is moved to its place, and what they call once their inputs are read."""
FIRST_OF = {"ingest": "bronze."}
"""Tables whose first commit counts: ingest commits its plan before it reads a row."""


class PointMissedError(RuntimeError):
    pass


def die(*_, **__):
    os.killpg(0, signal.SIGKILL)


def after(owner, name, applies=lambda *_: True):
    """Dies once `owner.name` has returned."""
    original = getattr(owner, name)

    def call(*args, **kwargs):
        result = original(*args, **kwargs)
        if applies(*args):
            die()
        return result

    setattr(owner, name, call)


def before(owner, name, applies=lambda *_: True):
    """Dies instead of calling `owner.name`."""
    original = getattr(owner, name)

    def call(*args, **kwargs):
        if applies(*args):
            die()
        return original(*args, **kwargs)

    setattr(owner, name, call)


def is_whole(data_file):
    """A Parquet file ends with its magic number: it is closed."""
    with data_file.open("rb") as source:
        source.seek(max(0, data_file.stat().st_size - 4))
        return data_file.stat().st_size > 4 and source.read() == b"PAR1"


def die_at_a_data_file(folder):
    """Watches a table's folder, and dies as soon as a data file is there that was not before, having said its name."""

    def files():
        return {path for path in folder.rglob("part-*.parquet") if "_delta_log" not in path.parts}

    known = files()

    def watch():
        while not (whole := [path for path in files() - known if is_whole(path)]):
            time.sleep(0.001)
        print(whole[0].name, flush=True)
        die()

    threading.Thread(target=watch, daemon=True).start()


def die_in_a_table(stage, point):
    original = TableStore._commit

    def call(store, table, *rest):
        if table.name == RUN.name or not table.name.startswith(FIRST_OF.get(stage, "")):
            return original(store, table, *rest)
        if point == "read":
            die()
        if point == "data_files":
            die_at_a_data_file(Path(store.path(table)))
        original(store, table, *rest)
        if point == "commit":
            die()
        raise PointMissedError(f"{table.name} was committed before the kill")

    TableStore._commit = call


def die_in_a_file(stage, point, module):
    if point == "read":
        before(module, READ_BY[stage])
    if point == "data_files":
        before(os, "replace", is_result)
    if point == "commit":
        after(os, "replace", is_result)


def is_result(_, target):
    return "files" in Path(target).parts


def arm(stage, point):
    """Sets the point once the stage is next: what comes before it is left alone."""
    original = Pipeline._run_one

    def run_one(pipeline, which, ctx, **rest):
        if point == "start":
            die()
        elif point == "done":
            before(Ledger, "record")
        elif point == "ledger":
            after(Ledger, "record")
        elif stage in READ_BY:
            die_in_a_file(stage, point, sys.modules[which.run.__module__])
        else:
            die_in_a_table(stage, point)
        return original(pipeline, which, ctx, **rest)

    Pipeline._run_one = run_one


if __name__ == "__main__":
    assert os.getpgrp() == os.getpid(), "start it in a process group of its own"
    arm(sys.argv[1], sys.argv[2])
    sys.exit(main(sys.argv[1], sys.argv[3:]))
