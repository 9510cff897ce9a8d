"""Parquet columns that Spark cannot read, or not as text, and their conversion with Arrow."""

import base64
import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet as pq

_ENCODINGS = {
    "PLAIN", "PLAIN_DICTIONARY", "RLE_DICTIONARY", "RLE", "BIT_PACKED", "DELTA_BINARY_PACKED", "DELTA_LENGTH_BYTE_ARRAY",
    "DELTA_BYTE_ARRAY",
}  # fmt: skip
_CODECS = {"UNCOMPRESSED", "SNAPPY", "GZIP", "ZSTD", "LZ4"}


def needs_copy(file: pq.ParquetFile) -> bool:
    """Whether Spark cannot read a column as it is: its type, its encoding or its compression."""
    if not all(_is_native(field.type) for field in file.schema_arrow):
        return True
    metadata = file.metadata
    parts = (
        metadata.row_group(group).column(column)
        for group in range(metadata.num_row_groups)
        for column in range(metadata.num_columns)
    )
    return any(part.compression not in _CODECS or not _ENCODINGS.issuperset(part.encodings) for part in parts)


def _is_native(kind: pa.DataType) -> bool:
    if pa.types.is_dictionary(kind):
        return _is_native(kind.value_type)
    if pa.types.is_nested(kind):
        fields = [kind.field(i) for i in range(kind.num_fields)]
        names = {field.name.lower() for field in fields}
        return len(names) == len(fields) > 0 and all(_is_native(field.type) for field in fields)
    if pa.types.is_timestamp(kind):
        return bool(kind.unit != "ns")
    is_refused = (
        pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary, pa.types.is_binary_view,
        pa.types.is_time, pa.types.is_float16, pa.types.is_decimal256,
    )  # fmt: skip
    return not isinstance(kind, pa.BaseExtensionType) and not any(is_it(kind) for is_it in is_refused)


def is_binary(kind: pa.DataType) -> bool:
    """Whether the column holds bytes without a text annotation."""
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def is_text(column: pa.Array) -> bool:
    """Whether the bytes of a binary column are UTF-8 text."""
    try:
        text = column.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        return False
    return not pc.any(pc.match_substring(text, "\0")).as_py()


def converted(
    file: pq.ParquetFile, binary_columns: frozenset[str], *, num_rows: int
) -> Iterator[tuple[pa.Schema, pa.RecordBatch]]:
    """Batches whose columns Spark reads; the first is empty, so that a file without rows keeps its columns.

    Args:
        file: the file, opened with INT96 in microseconds.
        binary_columns: columns whose bytes are not text; they become base64.
        num_rows: rows per batch.
    """
    instants = {c.name for c in map(file.schema.column, range(len(file.schema))) if c.physical_type == "INT96"}

    def convert(batch: pa.RecordBatch) -> pa.RecordBatch:
        names = batch.schema.names
        columns = [
            _column(column, is_instant=name in instants, is_base64=name in binary_columns)
            for name, column in zip(names, batch.columns)
        ]
        return pa.RecordBatch.from_arrays(columns, names=names)

    empty = pa.RecordBatch.from_arrays(
        [pa.array([], field.type) for field in file.schema_arrow], file.schema_arrow.names
    )
    schema = convert(empty).schema
    yield schema, convert(empty)
    for batch in file.iter_batches(batch_size=num_rows):
        yield schema, convert(batch)


def _column(column: pa.Array, *, is_instant: bool, is_base64: bool) -> pa.Array:
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _column(column.dictionary_decode(), is_instant=is_instant, is_base64=is_base64)
    if isinstance(kind, pa.BaseExtensionType):
        if kind.extension_name == "arrow.uuid":
            return _texts(column, lambda value: str(value if isinstance(value, uuid.UUID) else uuid.UUID(bytes=value)))
        return _column(column.storage, is_instant=is_instant, is_base64=is_base64)
    if is_binary(kind):
        if is_base64:
            return _texts(column, lambda value: base64.b64encode(value).decode())
        return column.cast(pa.binary()).cast(pa.string())
    if pa.types.is_timestamp(kind):
        if kind.unit == "ns":
            return _nanoseconds(column)
        return column.cast(pa.timestamp(kind.unit, "UTC")) if is_instant else column
    if pa.types.is_time(kind):
        return _without_trailing_zeros(column.cast(pa.string()))
    if pa.types.is_float16(kind):
        return column.cast(pa.float32())
    if pa.types.is_decimal256(kind) or (pa.types.is_nested(kind) and not _is_native(kind)):
        return _texts(column, _json if pa.types.is_nested(kind) else lambda value: f"{value:f}")
    return column


def _texts(column: pa.Array, text_of: Callable[[Any], str]) -> pa.Array:
    return pa.array([None if value is None else text_of(value) for value in column.to_pylist()], pa.string())


def _nanoseconds(column: pa.Array) -> pa.Array:
    """Text with up to nine decimals; `Z` marks UTC."""
    zone = column.type.tz
    local = column.cast(pa.timestamp("ns", "UTC")).cast(pa.timestamp("ns")) if zone else column
    text = _without_trailing_zeros(pc.strftime(local, "%Y-%m-%d %H:%M:%S"))
    return pc.binary_join_element_wise(text, "Z", "") if zone else text


def _without_trailing_zeros(text: pa.Array) -> pa.Array:
    return pc.replace_substring_regex(pc.replace_substring_regex(text, r"(\.\d*?)0+$", r"\1"), r"\.$", "")


def _json(value: Any) -> str:
    """JSON as Spark writes it: fields without a value are left out."""
    if isinstance(value, dict):
        fields = (f"{json.dumps(str(k), ensure_ascii=False)}:{_json(v)}" for k, v in value.items() if v is not None)
        return "{" + ",".join(fields) + "}"
    if isinstance(value, list):
        if value and all(isinstance(entry, tuple) and len(entry) == 2 for entry in value):
            return _json({_key(k): v for k, v in value})
        return "[" + ",".join(map(_json, value)) + "]"
    if isinstance(value, bool) or value is None:
        return json.dumps(value)
    if isinstance(value, int | Decimal):
        return f"{value:f}" if isinstance(value, Decimal) else str(value)
    if isinstance(value, float):
        return json.dumps(value) if value == value and abs(value) != float("inf") else f'"{value}"'
    return json.dumps(_key(value), ensure_ascii=False)


def _key(value: Any) -> str:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return base64.b64encode(value).decode()
    if isinstance(value, dt.datetime):
        is_instant = value.tzinfo is not None
        local = value.astimezone(dt.UTC).replace(tzinfo=None) if is_instant else value
        return local.isoformat() + ("Z" if is_instant else "")
    return value.isoformat() if isinstance(value, dt.date | dt.time) else str(value)
