"""Detect files without a column that the source configuration requires."""

from collections.abc import Iterable

from pyspark.sql import Row

from crm_spark.contracts.bronze_columns import decoded, encoded
from crm_spark.sources.config import Feed, Source

MISSING_COLUMN = "missing_column"


def missing_columns(source: Source, feed: Feed, deliveries: Iterable[Row]) -> dict[str, list[str]]:
    """Return ingested files that lack a required mapped column: file digest -> missing columns.

    Without this check, a renamed column would read as null and overwrite values in silver. JSON records omit null values,
    so a JSON column is missing only if other files of the source contain it.
    """
    if source.files is None:
        return {}
    ingested = [
        row for row in deliveries if row["source"] == source.name and row["status"] == "ingested" and row["columns"]
    ]
    required = {encoded(name, 0) for mapping in feed.columns.values() for name in mapping.source_columns}
    required -= {encoded(name, 0) for name in source.files.may_lack}
    if source.files.format in ("json", "jsonl"):
        required &= {name for row in ingested for name in row["columns"]}
    missing = {row["file_sha256"]: sorted(decoded(name) for name in required - set(row["columns"])) for row in ingested}
    return {digest: names for digest, names in missing.items() if names}
