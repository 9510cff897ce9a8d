"""Frames set down as Parquet for as long as a stage works on them.

A cached frame still carries its whole plan: every task of every later query is sent all of it, which for hundreds of
typed and judged columns takes longer than the rows do. What was set down is a scan, and an executor's loss costs nothing.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame

from crm_spark.core.context import JobContext

Keep = Callable[[DataFrame, str], DataFrame]


@contextmanager
def scratch(ctx: JobContext, stage: str) -> Iterator[Keep]:
    """Gives `keep(frame, name)`: the same rows, to be read any number of times until the block ends.

    They lie in the lake under `_scratch`, since every executor must reach them; what a run that died left there goes when
    the stage begins anew. A dry run writes nothing and caches instead.
    """
    folder = f"{ctx.tables.root}/_scratch/{stage}"

    def keep(frame: DataFrame, name: str) -> DataFrame:
        if ctx.is_dry_run:
            return frame.persist(StorageLevel.MEMORY_AND_DISK)
        path = f"{folder}/{name}"
        # Read once or twice and gone: dictionaries would cost a third of the time and save a tenth of the bytes.
        frame.write.mode("overwrite").option("parquet.enable.dictionary", "false").parquet(path)
        return ctx.spark.read.schema(frame.schema).parquet(path)

    _remove(ctx, folder)
    try:
        yield keep
    finally:
        _remove(ctx, folder)


def _remove(ctx: JobContext, folder: str) -> None:
    if ctx.is_dry_run:
        return
    jvm: Any = ctx.spark._jvm
    path = jvm.org.apache.hadoop.fs.Path(folder)
    path.getFileSystem(ctx.spark._jsc.hadoopConfiguration()).delete(path, True)
