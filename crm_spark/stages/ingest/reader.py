"""Read the records of a delivery unchanged: every column as text, with file, block and position."""

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
from crm_spark.stages.ingest.file_validation import codec_of, opened
from crm_spark.stages.ingest.source_file import SourceFile
from crm_spark.stages.ingest.surrogates import SurrogateEscaper

_POSITION_BITS = 33
CORRUPT = "_corrupt"
_PATTERN = re.compile(r"[*?\[\]{}\\]")
_PIECE = 1 << 20


@contextmanager
def one_file_per_task(spark: SparkSession) -> Iterator[None]:
    """Configure Spark to read one file (or one split) per task, so that task-local row numbers are block positions."""
    spark.conf.set("spark.sql.files.openCostInBytes", spark.conf.get("spark.sql.files.maxPartitionBytes") or "128MB")
    try:
        yield
    finally:
        spark.conf.unset("spark.sql.files.openCostInBytes")


@contextmanager
def readable_paths(files: Sequence[SourceFile], how: Files, scratch: Path) -> Iterator[dict[str, SourceFile]]:
    """Files by the path Spark reads; files it cannot read in place are prepared in `scratch`.

    These are archive members, JSON with lone surrogates, and paths that contain glob characters.
    """
    paths: dict[str, SourceFile] = {}
    try:
        for number, file in enumerate(files):
            path = Path(file.path)
            if file.member is not None or file.has_lone_surrogates or _PATTERN.search(file.path):
                path = _prepared(file, how, scratch, number)
            paths[str(path)] = file
        yield paths
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _prepared(file: SourceFile, how: Files, scratch: Path, number: int) -> Path:
    scratch.mkdir(parents=True, exist_ok=True)
    # Generated name: member names from an archive are untrusted and never used as paths.
    target = scratch / f"{number}{PurePosixPath(file.member or file.path).suffix}"
    if file.has_lone_surrogates:
        _escape_surrogates(file, how, target.with_suffix(".json"))
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


def _escape_surrogates(file: SourceFile, how: Files, target: Path) -> None:
    escaper, encoding = SurrogateEscaper(), how.options.encoding
    with (
        _opened(file) as raw,
        io.TextIOWrapper(raw, encoding=codec_of(encoding), newline="") as source,
        target.open("w", encoding=encoding, newline="") as sink,
    ):
        while piece := source.read(_PIECE):
            sink.write(escaper.feed(piece))
        sink.write(escaper.feed("", is_last=True))


def read_records(spark: SparkSession, how: Files, files: dict[str, SourceFile]) -> DataFrame:
    """Grain: record. Returns the source's columns as text, `_path`, `_block`, `_position`, `_corrupt`.

    Files are grouped by header, so columns are matched by name, not position. Evaluate the result within
    `one_file_per_task`.
    """
    # Parquet files with different column types cannot be read together.
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
        return frame.select(*cells, *_envelope(F.lit(0), F.col("_metadata.row_index")), _no_corrupt_record())
    position = F.monotonically_increasing_id().bitwiseAND((1 << _POSITION_BITS) - 1)
    block = F.col("_metadata.file_block_start")
    frame = _read_csv(spark, how, header, paths) if how.format == "csv" else _read_json(spark, how, paths)
    # JSON keys may be invalid Delta column names; CSV headers are already encoded.
    names = {name: name if how.format == "csv" else encoded(name, 0) for name in frame.columns}
    cells = [F.col(f"`{name}`").alias(names[name]) for name in frame.columns if name != CORRUPT]
    return frame.select(*cells, *_envelope(block, position), F.col(CORRUPT))


def _no_corrupt_record() -> Column:
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
    """Read JSON in two passes: the first infers the column names, the second reads every value as its literal text."""
    reader = (
        spark.read.option("multiLine", how.format == "json")
        .option("mode", "PERMISSIVE")
        .option("columnNameOfCorruptRecord", CORRUPT)
    )
    if how.options.encoding.lower() not in ("utf-8", "utf8"):
        # Set only if needed: with UTF-8 input and no encoding option, Spark keeps numbers and nested values as written.
        reader = reader.option("encoding", codecs.lookup(how.options.encoding).name)
    names = [name for name in reader.option("primitivesAsString", True).json(paths).columns if name != CORRUPT]
    return reader.schema(_all_text(names)).json(paths)


def _all_text(names: Sequence[str]) -> StructType:
    return StructType([StructField(name, StringType()) for name in (*names, CORRUPT)])


def as_text(frame: DataFrame, name: str) -> Column:
    """Column as text for bronze: nested values as JSON, binary as base64."""
    column = F.col(f"`{name}`")
    kind = frame.schema[name].dataType.typeName()
    if kind in ("struct", "array", "map"):
        return F.to_json(column)
    return F.base64(column) if kind == "binary" else column.cast("string")


def normalised(path: str) -> str:
    """Local path in the form of `_path` (without the file scheme)."""
    return re.sub("^file:/+", "/", path)
