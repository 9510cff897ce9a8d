"""Detect columns that the source configuration requires and files do not have."""

from collections.abc import Iterable

from pyspark.sql import Row

from crm_spark.core.errors import ConfigError
from crm_spark.sources.config import Source
from crm_spark.sources.mappings import Feed
from crm_spark.stages.clean.records import stored_column

MISSING_COLUMN = "missing_column"


def require_known_paths(source: Source, deliveries: Iterable[Row], origin: str) -> None:
    """Check that mapped names with a dot are fields or lead into one: records may omit a field, so that it would read as null.

    Args:
        source: source with its mappings.
        deliveries: rows of ops.delivery.
        origin: file of the source configuration.

    Raises:
        ConfigError: no ingested record has such a name.
    """
    if source.files is None or source.files.format not in ("json", "jsonl"):
        return
    ingested = [row for row in deliveries if row["source"] == source.name and row["status"] == "ingested"]
    known = {name for row in ingested for name in row["columns"] or ()}
    if not known:
        return
    for entity, feed in source.feeds.items():
        for name in feed.source_columns:
            if "." in name and stored_column(name, known) is None and name not in source.files.may_lack:
                raise ConfigError(
                    f"{origin}: feeds.{entity}: no record of {source.name} has a field `{name}`, or `{name.split('.')[0]}` with an "
                    f"object. Correct the name, or list `{name}` in files.may_lack if later records will have it."
                )


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
    required = set(feed.source_columns) - set(source.files.may_lack)
    if source.files.format in ("json", "jsonl"):
        known = {name for row in ingested for name in row["columns"]}
        required = {name for name in required if stored_column(name, known) is not None}
    missing = {
        row["file_sha256"]: sorted(name for name in required if stored_column(name, row["columns"]) is None)
        for row in ingested
    }
    return {digest: names for digest, names in missing.items() if names}
