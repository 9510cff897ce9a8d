"""Detect columns that the source configuration requires and files do not have."""

from collections.abc import Iterable

from pyspark.sql import Row

from crm_spark.contracts.bronze_columns import decoded, encoded
from crm_spark.core.errors import ConfigError
from crm_spark.sources.config import Feed, Source

MISSING_COLUMN = "missing_column"


def require_known_paths(source: Source, deliveries: Iterable[Row], origin: str) -> None:
    """Check that mapped JSON names with a dot are names of fields: records may omit a field, so that it would read as null.

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
        for column, mapping in feed.columns.items():
            for name in mapping.source_columns:
                if "." in name and encoded(name, 0) not in known and name not in source.files.may_lack:
                    raise ConfigError(
                        f"{origin}: feeds.{entity}.columns.{column}: no record of {source.name} has a field `{name}`. Paths into "
                        f"objects are not supported: deliver the value as a field of its own and map that, or list `{name}` in "
                        "files.may_lack if later records will have it."
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
    required = {encoded(name, 0) for mapping in feed.columns.values() for name in mapping.source_columns}
    required -= {encoded(name, 0) for name in source.files.may_lack}
    if source.files.format in ("json", "jsonl"):
        required &= {name for row in ingested for name in row["columns"]}
    missing = {row["file_sha256"]: sorted(decoded(name) for name in required - set(row["columns"])) for row in ingested}
    return {digest: names for digest, names in missing.items() if names}
