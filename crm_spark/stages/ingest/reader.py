"""Read the records of a delivery unchanged: every column as text, with file, block and position."""

import codecs
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby

from pyarrow import parquet as pq
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from crm_spark.contracts.bronze_columns import encoded
from crm_spark.core.uris import is_remote
from crm_spark.sources.files import FileOptions, Files
from crm_spark.stages.ingest.json_records import UNPARSED
from crm_spark.stages.ingest.source_file import SourceFile
from crm_spark.stages.ingest.table_text import copy_options

_POSITION_BITS = 33
CORRUPT = "_corrupt"


@contextmanager
def one_file_per_task(spark: SparkSession) -> Iterator[None]:
    """Configure Spark to read one file (or one split) per task, so that task-local row numbers are block positions."""
    spark.conf.set("spark.sql.files.openCostInBytes", spark.conf.get("spark.sql.files.maxPartitionBytes") or "128MB")
    try:
        yield
    finally:
        spark.conf.unset("spark.sql.files.openCostInBytes")


def read_records(spark: SparkSession, how: Files, files: dict[str, SourceFile]) -> DataFrame:
    """Grain: record. Returns the source's columns as text, `_path`, `_block`, `_position`, `_corrupt`.

    Files are grouped by header, so columns are matched by name, not position. Evaluate the result within
    `one_file_per_task`.
    """
    read = _csv_frames if how.is_table else _parquet_frames if how.format == "parquet" else _json_frames
    result, *others = read(spark, how, files)
    for frame in others:
        result = result.unionByName(frame, allowMissingColumns=True)
    return result


def _csv_frames(spark: SparkSession, how: Files, files: dict[str, SourceFile]) -> list[DataFrame]:
    keys = sorted((file.columns, file.is_copy, file.is_unquoted, path) for path, file in files.items())
    frames = []
    for (columns, is_copy, is_unquoted), group in groupby(keys, key=lambda key: key[:3]):
        options = copy_options(how) if is_copy else how.options
        if is_unquoted:
            options = options.model_copy(update={"quote": ""})
        frame = _read_csv(spark, options, columns, [path for *_, path in group])
        cells = [F.col(f"`{name}`") for name in columns]
        corrupt = F.col(CORRUPT)
        if how.table.rows == "pad":
            corrupt = _corrupt_row(options, num_columns=len(columns)).alias(CORRUPT)
        frames.append(frame.select(*cells, *_file_block(), corrupt))
    return frames


def _parquet_frames(spark: SparkSession, how: Files, files: dict[str, SourceFile]) -> list[DataFrame]:
    # Files with different column types cannot be read together.
    keys = sorted((file.columns, _parquet_types(spark, path), path) for path, file in files.items())
    frames = []
    for _, group in groupby(keys, key=lambda key: key[:2]):
        frame = spark.read.parquet(*(path for *_, path in group))
        cells = [as_text(frame, name).alias(encoded(name, i)) for i, name in enumerate(frame.columns)]
        envelope = _envelope(F.lit(0), F.col("_metadata.row_index"))
        frames.append(frame.select(*cells, *envelope, F.lit(None).cast("string").alias(CORRUPT)))
    return frames


def _parquet_types(spark: SparkSession, path: str) -> str:
    if is_remote(path):
        return spark.read.parquet(path).schema.simpleString()
    return str([str(kind) for kind in pq.read_schema(path).types])


def _json_frames(spark: SparkSession, how: Files, files: dict[str, SourceFile]) -> list[DataFrame]:
    """Every value as its literal text; the keys are known from validation."""
    frames = []
    for is_copy, names, paths in _json_groups(files):
        reader = (
            spark.read.schema(_all_text([*names, UNPARSED]))
            .option("multiLine", how.format == "json" and not is_copy)
            .option("mode", "PERMISSIVE")
            .option("columnNameOfCorruptRecord", CORRUPT)
            # Validation collects the keys of valid JSON only.
            .option("allowSingleQuotes", False)
        )
        # No encoding option: with it, Spark does not keep numbers and nested values as written.
        frame = reader.json(paths)
        cells = [_column(name).alias(name if is_copy else encoded(name, 0)) for name in names]
        corrupt = F.coalesce(F.col(CORRUPT), F.col(UNPARSED)).alias(CORRUPT)
        frames.append(frame.select(*cells, *_file_block(), corrupt))
    return frames


def _json_groups(files: dict[str, SourceFile]) -> list[tuple[bool, list[str], list[str]]]:
    """Files that can be read together: (is_copy, names, paths). No two names of a group differ only in case."""
    groups: list[tuple[bool, dict[str, str], list[str]]] = []
    for path, file in sorted(files.items()):
        names = {key.lower(): key for key in file.keys}
        for is_copy, known, paths in groups:
            if is_copy == file.is_copy and all(known.get(low, key) == key for low, key in names.items()):
                known.update(names)
                paths.append(path)
                break
        else:
            groups.append((file.is_copy, names, [path]))
    return [(is_copy, sorted(known.values()), paths) for is_copy, known, paths in groups]


def _file_block() -> tuple[Column, ...]:
    position = F.monotonically_increasing_id().bitwiseAND((1 << _POSITION_BITS) - 1)
    return _envelope(F.col("_metadata.file_block_start"), position)


def _envelope(block: Column, position: Column) -> tuple[Column, ...]:
    path = F.url_decode(F.replace(F.col("_metadata.file_path"), F.lit("+"), F.lit("%2B")))
    return (
        F.regexp_replace(path, "^file:/+", "/").alias("_path"),
        block.cast("long").alias("_block"),
        position.cast("long").alias("_position"),
    )


def _read_csv(spark: SparkSession, options: FileOptions, header: tuple[str, ...], paths: list[str]) -> DataFrame:
    codec = codecs.lookup(options.encoding).name
    return (
        spark.read.schema(_all_text(header))
        .option("header", True)
        # Spark reads escapes such as \\t in a delimiter.
        .option("sep", options.delimiter.replace("\\", "\\\\"))
        .option("quote", options.quote_character)
        .option("escape", options.escape if options.quote_character else "")
        .option("encoding", "utf-8" if codec == "utf-8-sig" else codec)
        .option("multiLine", options.multi_line)
        .option("mode", "PERMISSIVE")
        .option("columnNameOfCorruptRecord", CORRUPT)
        .csv(paths)
    )


def _corrupt_row(options: FileOptions, *, num_columns: int) -> Column:
    """Raw text of a row with too few or too many cells; null for a row that can be read.

    Spreadsheets leave out the delimiters after the last cell with a value, and some systems end each row with one. A single
    cell in a table of several columns is no such row.
    """
    raw = F.col(CORRUPT)
    bare, quote, delimiter = raw, options.quote_character, _literal(options.delimiter)
    if quote:
        q = _literal(quote)
        if options.escape not in ("", quote):
            bare = F.regexp_replace(bare, f"{_literal(options.escape)}.", "x")
        bare = F.regexp_replace(bare, f"(?<=^|{delimiter}){q}{q}(?={delimiter}|[\\r\\n]*$)", "")
        # A quoted cell begins after a delimiter; the part behind a doubled quote begins after a quote.
        bare = F.regexp_replace(bare, f"(?<=^|{delimiter}|{q}){q}[^{q}]*{q}", "x")
    cells = F.split(F.regexp_replace(bare, r"[\r\n]+$", ""), delimiter, -1)
    num_cells = F.size(cells)
    surplus = F.slice(cells, num_columns + 1, F.greatest(num_cells - num_columns, F.lit(0)))
    is_short = (num_cells < num_columns) & (num_cells >= min(2, num_columns - 1))
    is_padded = (num_cells > num_columns) & (F.array_join(surplus, "") == "")
    return F.when(raw.isNotNull() & ~(is_short | is_padded), raw)


def _column(name: str) -> Column:
    """Column of any name, including dots and backticks."""
    return F.col("`" + name.replace("`", "``") + "`")


def _literal(text: str) -> str:
    """Java pattern of the text."""
    return "".join(f"\\x{{{ord(sign):x}}}" for sign in text)


def _all_text(names: Sequence[str]) -> StructType:
    return StructType([StructField(name, StringType()) for name in (*names, CORRUPT)])


def as_text(frame: DataFrame, name: str) -> Column:
    """Column as text for bronze: nested values as JSON, binary as base64, UTC timestamps with `Z`."""
    column = _column(name)
    kind = frame.schema[name].dataType.typeName()
    if kind in ("struct", "array", "map"):
        return F.to_json(column)
    if kind == "timestamp":
        return F.concat(column.cast("string"), F.lit("Z"))
    return F.base64(column) if kind == "binary" else column.cast("string")


def normalised(path: str) -> str:
    """Local path in the form of `_path` (without the file scheme)."""
    return re.sub("^file:/+", "/", path)
