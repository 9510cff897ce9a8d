"""Reads the records of a delivery verbatim: every column as text, with file, block and position beside it."""

import csv
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby

from pyarrow import ArrowInvalid, fs
from pyarrow import parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from crm_spark.contracts.bronze_names import encoded
from crm_spark.contracts.source import Files, Source
from crm_spark.core.errors import InputError

_HEADER_BYTES = 1 << 20
_POSITION_BITS = 33
POSITION_COLUMNS = ("_path", "_block", "_position", "_corrupt")


@contextmanager
def one_file_per_task(spark: SparkSession) -> Iterator[None]:
    """One file, or one split of it, per task: only then does the running number of a task count from 0 in its block."""
    spark.conf.set("spark.sql.files.openCostInBytes", spark.conf.get("spark.sql.files.maxPartitionBytes") or "128MB")
    try:
        yield
    finally:
        spark.conf.unset("spark.sql.files.openCostInBytes")


def read_records(spark: SparkSession, source: Source, paths: list[str], system: fs.FileSystem) -> DataFrame:
    """Grain: record. The source's columns as text, `_path`, `_block`, `_position`, `_corrupt`.

    Files are grouped by their own header, so a column that moved, came or went is found by name and never by position.
    To be read, and written, within `one_file_per_task`.
    """
    assert source.files is not None
    frames = [_read_group(spark, source.files, header, group) for header, group in _by_header(source, paths, system)]
    result = frames[0]
    for frame in frames[1:]:
        result = result.unionByName(frame, allowMissingColumns=True)
    return result


def _by_header(source: Source, paths: list[str], system: fs.FileSystem) -> list[tuple[tuple[str, ...], list[str]]]:
    assert source.files is not None
    # Parquet files may also differ in the types of their columns, and one read has one type for each.
    types = {path: _parquet_types(path, system) if source.files.format == "parquet" else "" for path in paths}
    headers = sorted((header_of(source, path, system), types[path], path) for path in paths)
    return [(key[0], [path for *_, path in group]) for key, group in groupby(headers, key=lambda entry: entry[:2])]


def header_of(source: Source, path: str, system: fs.FileSystem) -> tuple[str, ...]:
    """The names of a file's columns, made storable; empty for JSON lines, whose records name their own.

    Raises:
        InputError: the file has no header, names a column twice, or is not what its format says.
    """
    assert source.files is not None
    if source.files.format == "jsonl":
        return ()
    try:
        names = (
            _csv_header(source.files, path, system) if source.files.format == "csv" else _parquet_columns(path, system)
        )
    except (OSError, ArrowInvalid, UnicodeError, csv.Error) as error:
        raise InputError(
            f"{source.name}: {path} cannot be read as {source.files.format} ({type(error).__name__}). "
            "Ask for the delivery again, or correct files.format and files.options."
        ) from None
    if not names:
        raise InputError(f"{source.name}: {path} is empty; wanted at least a header.")
    columns = tuple(encoded(name, position) for position, name in enumerate(names))
    repeated = sorted({name for name in columns if [c.lower() for c in columns].count(name.lower()) > 1})
    if repeated:
        raise InputError(f"{source.name}: {path} names columns more than once: {repeated}.")
    return columns


def _csv_header(files: Files, path: str, system: fs.FileSystem) -> list[str]:
    with system.open_input_stream(path, compression="detect") as stream:
        head = stream.read(_HEADER_BYTES)
    text = head.decode("utf-8-sig" if files.options.encoding.lower() == "utf-8" else files.options.encoding, "ignore")
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=files.options.delimiter, quotechar=files.options.quote)
    return next(rows, [])


def _parquet_columns(path: str, system: fs.FileSystem) -> list[str]:
    with system.open_input_file(path) as source:
        return list(pq.read_schema(source).names)


def _parquet_types(path: str, system: fs.FileSystem) -> str:
    with system.open_input_file(path) as source:
        return str([str(kind) for kind in pq.read_schema(source).types])


def _read_group(spark: SparkSession, files: Files, header: tuple[str, ...], paths: list[str]) -> DataFrame:
    if files.format == "parquet":
        frame = spark.read.parquet(*paths)
        cells = [_as_text(frame, name).alias(encoded(name, i)) for i, name in enumerate(frame.columns)]
        position = F.col("_metadata.row_index")
        return frame.select(*cells, *_envelope(F.lit(0), position), F.lit(None).cast("string").alias("_corrupt"))
    position = F.monotonically_increasing_id().bitwiseAND((1 << _POSITION_BITS) - 1)
    block = F.col("_metadata.file_block_start")
    frame = _read_csv(spark, files, header, paths) if files.format == "csv" else _read_jsonl(spark, files, paths)
    # A JSON object may name a column in a way Delta cannot store; CSV headers are encoded already.
    names = {name: name if files.format == "csv" else encoded(name, 0) for name in frame.columns}
    cells = [_as_text(frame, name).alias(names[name]) for name in frame.columns if name != "_corrupt"]
    return frame.select(*cells, *_envelope(block, position), F.col("_corrupt"))


def _envelope(block, position):
    path = F.url_decode(F.replace(F.col("_metadata.file_path"), F.lit("+"), F.lit("%2B")))
    return (
        F.regexp_replace(path, "^file:/+", "/").alias("_path"),
        block.cast("long").alias("_block"),
        position.cast("long").alias("_position"),
    )


def _read_csv(spark: SparkSession, files: Files, header: tuple[str, ...], paths: list[str]) -> DataFrame:
    options = files.options
    schema = StructType([StructField(name, StringType()) for name in (*header, "_corrupt")])
    return (
        spark.read.schema(schema)
        .option("header", True)
        .option("sep", options.delimiter)
        .option("quote", options.quote)
        .option("escape", options.escape)
        .option("encoding", options.encoding)
        .option("multiLine", options.multi_line)
        .option("mode", "PERMISSIVE")
        .option("columnNameOfCorruptRecord", "_corrupt")
        .csv(paths)
    )


def _read_jsonl(spark: SparkSession, files: Files, paths: list[str]) -> DataFrame:
    frame = (
        spark.read.option("primitivesAsString", True)
        .option("mode", "PERMISSIVE")
        .option("encoding", files.options.encoding)
        .option("columnNameOfCorruptRecord", "_corrupt")
        .json(paths)
    )
    return frame if "_corrupt" in frame.columns else frame.withColumn("_corrupt", F.lit(None).cast("string"))


def _as_text(frame: DataFrame, name: str):
    column = F.col(f"`{name}`")
    kind = frame.schema[name].dataType.typeName()
    if kind in ("struct", "array", "map"):
        return F.to_json(column)
    return F.base64(column) if kind == "binary" else column.cast("string")


def normalised(path: str) -> str:
    """A local path as `_path` spells it."""
    return re.sub("^file:/+", "/", path)
