"""Reads the records of a delivery verbatim: every column as text, with file, block and position beside it."""

import codecs
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path, PurePosixPath

from pyarrow import fs
from pyarrow import parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from crm_spark.contracts.bronze_names import encoded
from crm_spark.contracts.source import Files
from crm_spark.stages.ingest.discovery import SourceFile

_POSITION_BITS = 33
CORRUPT = "_corrupt"


@contextmanager
def one_file_per_task(spark: SparkSession) -> Iterator[None]:
    """One file, or one split of it, per task: only then does the running number of a task count from 0 in its block."""
    spark.conf.set("spark.sql.files.openCostInBytes", spark.conf.get("spark.sql.files.maxPartitionBytes") or "128MB")
    try:
        yield
    finally:
        spark.conf.unset("spark.sql.files.openCostInBytes")


@contextmanager
def unpacked(files: Sequence[SourceFile], system: fs.FileSystem, scratch: Path) -> Iterator[dict[str, SourceFile]]:
    """The files by the path that Spark reads them at: members of archives are laid out below `scratch` meanwhile."""
    paths: dict[str, SourceFile] = {}
    try:
        for number, file in enumerate(files):
            if file.member is None:
                paths[file.path] = file
                continue
            scratch.mkdir(parents=True, exist_ok=True)
            # A name of our own: what an archive calls its members never becomes a path.
            target = scratch / f"{number}{PurePosixPath(file.member).suffix}"
            with (
                system.open_input_file(file.path) as raw,
                zipfile.ZipFile(raw) as archive,
                archive.open(file.member) as source,
                target.open("wb") as sink,
            ):
                shutil.copyfileobj(source, sink)
            paths[str(target)] = file
        yield paths
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def read_records(spark: SparkSession, how: Files, files: dict[str, SourceFile], system: fs.FileSystem) -> DataFrame:
    """Grain: record. The source's columns as text, `_path`, `_block`, `_position`, `_corrupt`.

    Files are grouped by their own header, so a column that moved, came or went is found by name and never by position.
    To be read, and written, within `one_file_per_task`.
    """
    # Parquet files may also differ in the types of their columns, and one read has one type for each.
    types = {path: _parquet_types(path, system) if how.format == "parquet" else "" for path in files}
    headers = sorted((file.columns, types[path], path) for path, file in files.items())
    groups = [(key[0], [path for *_, path in group]) for key, group in groupby(headers, key=lambda entry: entry[:2])]
    frames = [_read_group(spark, how, header, paths) for header, paths in groups]
    result = frames[0]
    for frame in frames[1:]:
        result = result.unionByName(frame, allowMissingColumns=True)
    return result


def _parquet_types(path: str, system: fs.FileSystem) -> str:
    with system.open_input_file(path) as source:
        return str([str(kind) for kind in pq.read_schema(source).types])


def _read_group(spark: SparkSession, how: Files, header: tuple[str, ...], paths: list[str]) -> DataFrame:
    if how.format == "parquet":
        frame = spark.read.parquet(*paths)
        cells = [as_text(frame, name).alias(encoded(name, i)) for i, name in enumerate(frame.columns)]
        return frame.select(*cells, *_envelope(F.lit(0), F.col("_metadata.row_index")), _nothing())
    position = F.monotonically_increasing_id().bitwiseAND((1 << _POSITION_BITS) - 1)
    block = F.col("_metadata.file_block_start")
    frame = _read_csv(spark, how, header, paths) if how.format == "csv" else _read_json(spark, how, paths)
    # A JSON object may name a column in a way Delta cannot store; CSV headers are encoded already.
    names = {name: name if how.format == "csv" else encoded(name, 0) for name in frame.columns}
    cells = [F.col(f"`{name}`").alias(names[name]) for name in frame.columns if name != CORRUPT]
    return frame.select(*cells, *_envelope(block, position), F.col(CORRUPT))


def _nothing() -> Column:
    return F.lit(None).cast("string").alias(CORRUPT)


def _envelope(block: Column, position: Column) -> tuple[Column, ...]:
    path = F.url_decode(F.replace(F.col("_metadata.file_path"), F.lit("+"), F.lit("%2B")))
    return (
        F.regexp_replace(path, "^file:/+", "/").alias("_path"),
        block.cast("long").alias("_block"),
        position.cast("long").alias("_position"),
    )


def _read_csv(spark: SparkSession, how: Files, header: tuple[str, ...], paths: list[str]) -> DataFrame:
    options = how.options
    return (
        spark.read.schema(_all_text(header))
        .option("header", True)
        .option("sep", options.delimiter)
        .option("quote", options.quote)
        .option("escape", options.escape)
        .option("encoding", codecs.lookup(options.encoding).name)
        .option("multiLine", options.multi_line)
        .option("mode", "PERMISSIVE")
        .option("columnNameOfCorruptRecord", CORRUPT)
        .csv(paths)
    )


def _read_json(spark: SparkSession, how: Files, paths: list[str]) -> DataFrame:
    """Two passes: one for the names that the records use, one that takes each value as the text that stands there."""
    reader = (
        spark.read.option("multiLine", how.format == "json")
        .option("mode", "PERMISSIVE")
        .option("columnNameOfCorruptRecord", CORRUPT)
    )
    if how.options.encoding.lower() not in ("utf-8", "utf8"):
        # Only from bytes that are UTF-8 already does Spark take numbers and nested values exactly as written.
        reader = reader.option("encoding", codecs.lookup(how.options.encoding).name)
    names = [name for name in reader.option("primitivesAsString", True).json(paths).columns if name != CORRUPT]
    return reader.schema(_all_text(names)).json(paths)


def _all_text(names: Sequence[str]) -> StructType:
    return StructType([StructField(name, StringType()) for name in (*names, CORRUPT)])


def as_text(frame: DataFrame, name: str) -> Column:
    """A column as bronze keeps it: nested values as JSON, bytes in base64."""
    column = F.col(f"`{name}`")
    kind = frame.schema[name].dataType.typeName()
    if kind in ("struct", "array", "map"):
        return F.to_json(column)
    return F.base64(column) if kind == "binary" else column.cast("string")


def normalised(path: str) -> str:
    """A local path as `_path` spells it."""
    return re.sub("^file:/+", "/", path)
