"""Intermediate frames of a stage, materialised as Parquet.

A cached frame keeps its whole plan, which is sent with every task of later queries; for hundreds of typed and validated
columns this takes longer than the rows themselves. A materialised frame is a file scan and survives lost executors.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark import StorageLevel
from pyspark.sql import DataFrame

from crm_spark.core.context import JobContext
from crm_spark.core.hadoop_files import HadoopFolder

Keep = Callable[[DataFrame, str], DataFrame]


@contextmanager
def scratch(ctx: JobContext, stage: str) -> Iterator[Keep]:
    """Yield `keep(frame, name)`, which materialises a frame until the block ends.

    The files are below `_scratch` in the lake, where every executor can read them. Files left by a killed run are removed
    when the stage starts again. A dry run caches frames instead.
    """
    with scratch_folder(ctx, stage) as folder:

        def keep(frame: DataFrame, name: str) -> DataFrame:
            if ctx.is_dry_run:
                return frame.persist(StorageLevel.MEMORY_AND_DISK)
            path = f"{folder}/{name}"
            # Files are read once or twice: dictionaries would cost a third of the time and save a tenth of the bytes.
            frame.write.mode("overwrite").option("parquet.enable.dictionary", "false").parquet(path)
            return ctx.spark.read.schema(frame.schema).parquet(path)

        yield keep


@contextmanager
def scratch_folder(ctx: JobContext, stage: str) -> Iterator[str]:
    """Yield a folder below `_scratch` in the lake, which is removed before and after; a dry run must not write there."""
    folder = f"{ctx.tables.root}/_scratch/{stage}"
    _remove(ctx, folder)
    try:
        yield folder
    finally:
        _remove(ctx, folder)


def _remove(ctx: JobContext, folder: str) -> None:
    if ctx.is_dry_run:
        return
    HadoopFolder(ctx.spark, folder).delete()
