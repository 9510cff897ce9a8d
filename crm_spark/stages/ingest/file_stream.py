"""Process new files in bounded micro-batches: Structured Streaming selects the files, ingest reads them.

Spark's file source reports each path once, so changed files, previously rejected files and JDBC sources are missing. The
caller therefore runs one full ingest after the stream has ended.
"""

from collections.abc import Callable

from pyspark.sql import DataFrame

from crm_spark.core.context import JobContext
from crm_spark.core.errors import CrmError
from crm_spark.stages.ingest.reader import normalised

_SCHEMA = "path string, modificationTime timestamp, length long, content binary"
_NO_AGE_LIMIT = "36500d"


def stream_files(
    ctx: JobContext, data_dir: str, ingest_batch: Callable[[frozenset[str]], int], *, files_per_batch: int
) -> int:
    """Pass all new files to `ingest_batch` in micro-batches.

    Args:
        ctx: job context; the stream checkpoint is stored in the lake under `_stream/ingest`.
        data_dir: folder or URI with the source files.
        ingest_batch: ingests the files with these paths and returns the number of rows.
        files_per_batch: maximum files per micro-batch.

    Returns:
        The number of ingested rows.

    Raises:
        CrmError: raised by `ingest_batch`.
    """
    num_rows: list[int] = []
    errors: list[CrmError] = []

    def batch(files: DataFrame, _: int) -> None:
        paths = frozenset(normalised(row["path"]) for row in files.collect())
        try:
            num_rows.append(ingest_batch(paths))
        except CrmError as error:  # keep it: Spark raises its own exception instead
            errors.append(error)
            raise

    files = (
        ctx.spark.readStream.format("binaryFile")
        .schema(_SCHEMA)
        .option("recursiveFileLookup", "true")
        .option("maxFilesPerTrigger", files_per_batch)
        # The default is 7 days; files older than that relative to the newest file would be ignored silently.
        .option("maxFileAge", _NO_AGE_LIMIT)
        .load(data_dir)
        .select("path")
    )
    stream = (
        files.writeStream.foreachBatch(batch)
        .option("checkpointLocation", f"{ctx.tables.root}/_stream/ingest")
        .trigger(availableNow=True)
        .start()
    )
    try:
        stream.awaitTermination()
    except Exception:
        if errors:
            raise errors[0] from None
        raise
    return sum(num_rows)
