"""Files in the order in which they arrived, a few at a time: Structured Streaming says which, ingest reads them as ever.

Spark's file stream keeps each path once: what stands under a known name with other bytes, was refused before, or comes from
a database is not in it. The caller therefore looks once more at everything when the stream has run dry.
"""

from collections.abc import Callable

from pyspark.sql import DataFrame

from crm_spark.core.context import JobContext
from crm_spark.core.errors import CrmError
from crm_spark.stages.ingest.reader import normalised

_SCHEMA = "path string, modificationTime timestamp, length long, content binary"
_FOR_EVER = "36500d"


def follow(ctx: JobContext, data_dir: str, take: Callable[[frozenset[str]], int], *, files_per_batch: int) -> int:
    """Hands all files that have arrived to `take`, batch by batch; how many rows it took.

    Args:
        ctx: where the tables are; how far the stream has come is kept in the lake under `_stream/ingest`.
        data_dir: folder or URI below which files arrive.
        take: reads the files of these paths, those of them that no run has read.
        files_per_batch: at most so many files are handed over at once.

    Raises:
        CrmError: what `take` raised.
    """
    taken: list[int] = []
    failed: list[CrmError] = []

    def batch(files: DataFrame, _: int) -> None:
        paths = frozenset(normalised(row["path"]) for row in files.collect())
        try:
            taken.append(take(paths))
        except CrmError as error:  # Spark would wrap it in its own
            failed.append(error)
            raise

    arrived = (
        ctx.spark.readStream.format("binaryFile")
        .schema(_SCHEMA)
        .option("recursiveFileLookup", "true")
        .option("maxFilesPerTrigger", files_per_batch)
        # A week by default, and what is older than the newest file by more than that would be passed over in silence.
        .option("maxFileAge", _FOR_EVER)
        .load(data_dir)
        .select("path")
    )
    stream = (
        arrived.writeStream.foreachBatch(batch)
        .option("checkpointLocation", f"{ctx.tables.root}/_stream/ingest")
        .trigger(availableNow=True)
        .start()
    )
    try:
        stream.awaitTermination()
    except Exception:
        if failed:
            raise failed[0] from None
        raise
    return sum(taken)
