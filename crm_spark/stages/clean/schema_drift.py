"""Detect files without a column that the source configuration requires."""

from collections.abc import Iterable

from pyspark.sql import Row

from crm_spark.contracts.bronze_columns import decoded, encoded
from crm_spark.sources.config import Feed, Source

MISSING_COLUMN = "missing_column"


def missing_columns(source: Source, feed: Feed, deliveries: Iterable[Row]) -> dict[str, list[str]]:
    """Ingested files without a required mapped column: file digest -> missing columns.

    Without this check a renamed column would read as null and overwrite values in silver. JSON records omit null values,
    so a JSON column counts as missing only if another delivery has contained it.
    """
    if source.files is None:
        return {}
    past = [
        row for row in deliveries if row["source"] == source.name and row["status"] == "ingested" and row["columns"]
    ]
    expected = {encoded(name, 0) for mapping in feed.columns.values() for name in mapping.source_columns}
    expected -= {encoded(name, 0) for name in source.files.may_lack}
    if source.files.format in ("json", "jsonl"):
        expected &= {name for row in past for name in row["columns"]}
    missing = {row["file_sha256"]: sorted(decoded(name) for name in expected - set(row["columns"])) for row in past}
    return {digest: names for digest, names in missing.items() if names}
