"""Files whose columns are not the ones their source's configuration counts on."""

from collections.abc import Iterable

from pyspark.sql import Row

from crm_spark.contracts.bronze_columns import decoded, encoded
from crm_spark.sources.config import Feed, Source

MISSING_COLUMN = "missing_column"


def lacking_columns(source: Source, feed: Feed, deliveries: Iterable[Row]) -> dict[str, list[str]]:
    """Of the ingested files that lack columns this feed reads and may not lack: digest -> the columns.

    A renamed column would else read as empty, and an update would wipe out what silver knows. A JSON record leaves out
    what it has no value for: there a column is missed only once another delivery has carried it.
    """
    if source.files is None:
        return {}
    past = [
        row for row in deliveries if row["source"] == source.name and row["status"] == "ingested" and row["columns"]
    ]
    wanted = {encoded(name, 0) for mapping in feed.columns.values() for name in mapping.source_columns}
    wanted -= {encoded(name, 0) for name in source.files.may_lack}
    if source.files.format in ("json", "jsonl"):
        wanted &= {name for row in past for name in row["columns"]}
    gaps = {row["file_sha256"]: sorted(decoded(name) for name in wanted - set(row["columns"])) for row in past}
    return {digest: names for digest, names in gaps.items() if names}
