"""Digests of configuration values, rows and frames."""

import hashlib
import json
from collections.abc import Sequence
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F


def sha256_of(value: Any) -> str:
    """SHA-256 (hex) of a JSON-able value, independent of the order of its keys."""
    text = json.dumps(value, sort_keys=True, default=str, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def row_hash(*columns: str, where_known: Sequence[str] = ()) -> Column:
    """SHA-256 (hex) over columns; null differs from an empty string, and column boundaries count.

    Args:
        columns: columns that are always part of the digest.
        where_known: columns that are part of it in rows where one of them is not null.
    """
    text = F.to_json(F.struct(*columns), {"ignoreNullFields": "false"})
    if where_known:
        known = F.to_json(F.struct(*where_known), {"ignoreNullFields": "true"})
        text = F.concat(text, F.when(known == "{}", "").otherwise(known))
    return F.sha2(text, 256)


def frame_digest(frame: DataFrame) -> str:
    """Digest of a frame's rows, independent of their order: row count and sum of 64-bit row hashes."""
    names = sorted(frame.columns)
    cells = [F.to_json(F.col(f"`{n}`")) if _is_nested(frame, n) else F.col(f"`{n}`").cast("string") for n in names]
    marked = [F.coalesce(cell, F.lit("\u0000")) for cell in cells]
    total = F.sum(F.xxhash64(*marked).cast("decimal(38,0)"))
    num_rows, sum_of_hashes = frame.agg(F.count(F.lit(1)), total).first() or (0, 0)
    return f"{num_rows}:{sum_of_hashes or 0}"


def _is_nested(frame: DataFrame, name: str) -> bool:
    return frame.schema[name].dataType.typeName() in ("array", "map", "struct")
