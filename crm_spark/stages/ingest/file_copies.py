"""Copies of intact files that Spark cannot read as they are, in a form that it reads.

These are archive members, files in other encodings than Spark knows, CSV with mixed line ends, JSON with keys that differ only
in case, Parquet with nanoseconds, and paths that contain glob characters. Records keep their order.
"""

import re
import shutil
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import IO

from pyarrow import fs
from pyarrow import parquet as pq

from crm_spark.core.context import JobContext
from crm_spark.core.shipping import visible
from crm_spark.sources.config import Source
from crm_spark.sources.files import Files
from crm_spark.stages.ingest.csv_validation import quote_tracker
from crm_spark.stages.ingest.file_validation import opened, rows_at_once
from crm_spark.stages.ingest.json_records import copied_lines, storage_names
from crm_spark.stages.ingest.line_ends import normalised_lines
from crm_spark.stages.ingest.parquet_columns import converted
from crm_spark.stages.ingest.source_file import SourceFile
from crm_spark.stages.ingest.table_text import copy_options, table_lines
from crm_spark.stages.ingest.text_decoding import as_text

_PATTERN = re.compile(r"[*?\[\]{}\\]")


def mapped_columns(source: Source) -> frozenset[str]:
    """Source columns that a feed of the source reads."""
    return frozenset(column for feed in source.feeds.values() for column in feed.source_columns)


@contextmanager
def readable_paths(
    files: Sequence[SourceFile], how: Files, scratch: Path, *, preferred: frozenset[str] = frozenset()
) -> Iterator[dict[str, SourceFile]]:
    """Files by the path Spark reads; files it cannot read in place are prepared in `scratch`.

    Args:
        files: validated files.
        how: format and options of the source.
        scratch: folder for copies; deleted at the end.
        preferred: of JSON keys that differ only in case, these keep their spelling.
    """
    paths: dict[str, SourceFile] = {}
    try:
        for number, file in enumerate(files):
            path = Path(file.path)
            if file.needs_copy:
                path, file = _copied(file, how, scratch, number, preferred)
            elif file.member is not None or _PATTERN.search(file.path):
                path = _unpacked(file, scratch, number)
            paths[str(path)] = file
        yield paths
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


@contextmanager
def paths_for_spark(
    ctx: JobContext, files: Sequence[SourceFile], source: Source, scratch: Path
) -> Iterator[dict[str, SourceFile]]:
    """Files of a source by the path or URI by which executors read them; see `readable_paths`."""
    assert source.files is not None
    with (
        readable_paths(files, source.files, scratch, preferred=mapped_columns(source)) as paths,
        visible(ctx, paths, f"ingest_{scratch.name}") as seen,
    ):
        yield {seen[path]: file for path, file in paths.items()}


def _unpacked(file: SourceFile, scratch: Path, number: int) -> Path:
    scratch.mkdir(parents=True, exist_ok=True)
    # Generated name: member names from an archive are untrusted and never used as paths.
    target = scratch / f"{number}{PurePosixPath(file.member or file.path).suffix}"
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


def _copied(
    file: SourceFile, how: Files, scratch: Path, number: int, preferred: frozenset[str]
) -> tuple[Path, SourceFile]:
    scratch.mkdir(parents=True, exist_ok=True)
    if how.format == "parquet":
        target = scratch / f"{number}.parquet"
        _copy_parquet(file, target)
        return target, replace(file, is_copy=True)
    target = scratch / f"{number}.{'csv' if how.is_table else 'jsonl'}"
    with _opened(file) as raw, target.open("w", encoding="utf-8", newline="") as sink:
        if how.is_table:
            options = copy_options(how)
            tracker = quote_tracker(options, is_unquoted=file.is_unquoted)
            with table_lines(lambda: raw, how, is_unquoted=file.is_unquoted) as lines:
                sink.writelines(normalised_lines(lines, tracker) if options.multi_line else lines)
            return target, replace(file, is_copy=True)
        names = storage_names(file.keys, preferred)
        with as_text(lambda: raw, how.options) as text:
            sink.writelines(copied_lines(text, names, is_document=how.format == "json", path=how.records))
    return target, replace(file, is_copy=True, keys=tuple(names.values()))


def _copy_parquet(file: SourceFile, target: Path) -> None:
    with fs.LocalFileSystem().open_input_file(file.path) as raw:
        source = pq.ParquetFile(raw, coerce_int96_timestamp_unit="us")
        binary = frozenset(
            name for name, stored in zip(source.schema_arrow.names, file.columns) if stored in file.binary_columns
        )
        batches = converted(source, binary, num_rows=rows_at_once(source.metadata))
        schema, empty = next(batches)
        with pq.ParquetWriter(target, schema) as sink:
            sink.write_batch(empty)
            for _, batch in batches:
                sink.write_batch(batch)
