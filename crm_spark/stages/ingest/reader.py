"""Reads the records of a delivery verbatim: every column as text, with file, block and position beside it."""

import codecs
import io
import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path, PurePosixPath
from typing import IO

from pyarrow import fs
from pyarrow import parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from crm_spark.contracts.bronze_columns import encoded
from crm_spark.sources.config import Files
from crm_spark.stages.ingest.discovery import SourceFile
from crm_spark.stages.ingest.file_validation import codec_of, opened
from crm_spark.stages.ingest.surrogates import SurrogateEscaper

_POSITION_BITS = 33
CORRUPT = "_corrupt"
_PATTERN = re.compile(r"[*?\[\]{}\\]")
_PIECE = 1 << 20


@contextmanager
def one_file_per_task(spark: SparkSession) -> Iterator[None]:
    """One file, or one split of it, per task: only then does the running number of a task count from 0 in its block."""
    spark.conf.set("spark.sql.files.openCostInBytes", spark.conf.get("spark.sql.files.maxPartitionBytes") or "128MB")
    try:
        yield
    finally:
        spark.conf.unset("spark.sql.files.openCostInBytes")


@contextmanager
def laid_out(files: Sequence[SourceFile], how: Files, scratch: Path) -> Iterator[dict[str, SourceFile]]:
    """The files by the path that Spark reads them at: what it could not read as it lies is laid out below `scratch`.

    That are members of archives, JSON with halves of characters, and paths that Spark would take for a pattern.
    """
    paths: dict[str, SourceFile] = {}
    try:
        for number, file in enumerate(files):
            path = Path(file.path)
            if file.member is not None or file.has_lone_surrogates or _PATTERN.search(file.path):
                path = _laid_out(file, how, scratch, number)
            paths[str(path)] = file
        yield paths
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _laid_out(file: SourceFile, how: Files, scratch: Path, number: int) -> Path:
    scratch.mkdir(parents=True, exist_ok=True)
    # A name of our own: what an archive calls its members never becomes a path.
    target = scratch / f"{number}{PurePosixPath(file.member or file.path).suffix}"
    if file.has_lone_surrogates:
        _mend(file, how, target.with_suffix(".json"))
        return target.with_suffix(".json")
    if file.member is None:
        target.symlink_to(file.path)
        return target
    with _opened(file) as source, target.open("wb") as sink:
        shutil.copyfileobj(source, sink)
    return target


@contextmanager
def _opened(file: SourceFile) -> Iterator[IO[bytes]]:
    if file.member is None:
        with opened(fs.LocalFileSystem(), file.path) as source:
            yield source
        return
    with zipfile.ZipFile(file.path) as archive, archive.open(file.member) as source:
        yield source


def _mend(file: SourceFile, how: Files, target: Path) -> None:
    mender, encoding = SurrogateEscaper(), how.options.encoding
    with (
        _opened(file) as raw,
        io.TextIOWrapper(raw, encoding=codec_of(encoding), newline="") as source,
        target.open("w", encoding=encoding, newline="") as sink,
    ):
        while piece := source.read(_PIECE):
            sink.write(mender.feed(piece))
        sink.write(mender.feed("", is_last=True))


def read_records(spark: SparkSession, how: Files, files: dict[str, SourceFile]) -> DataFrame:
    """Grain: record. The source's columns as text, `_path`, `_block`, `_position`, `_corrupt`.

    Files are grouped by their own header, so a column that moved, came or went is found by name and never by position.
    To be read, and written, within `one_file_per_task`.
    """
    # Parquet files may also differ in the types of their columns, and one read has one type for each.
    types = {path: _parquet_types(path) if how.format == "parquet" else "" for path in files}
    headers = sorted((file.columns, types[path], path) for path, file in files.items())
    groups = [(key[0], [path for *_, path in group]) for key, group in groupby(headers, key=lambda entry: entry[:2])]
    frames = [_read_group(spark, how, header, paths) for header, paths in groups]
    result = frames[0]
    for frame in frames[1:]:
        result = result.unionByName(frame, allowMissingColumns=True)
    return result


def _parquet_types(path: str) -> str:
    return str([str(kind) for kind in pq.read_schema(path).types])


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
