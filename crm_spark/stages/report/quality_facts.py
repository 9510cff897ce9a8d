"""What the page says of quality beyond the flow of rows: by day, by rule, what came back, what could not be read.

Every list is small however large the lake is, and points to examples by file and record, never by value.
"""

from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.ops import DELIVERY, FINDING, QUARANTINE, RELEASE, SUPERSEDED
from crm_spark.core.context import in_parallel
from crm_spark.core.tables import TableStore

Rows = list[dict[str, Any]]
_MAX_ROWS = 60


def quality_facts(tables: TableStore) -> dict[str, Rows]:
    """All of them, by name."""
    makers = (quarantined_by_day, noted, warnings, came_back, gave_way, unread)
    return dict(zip((m.__name__ for m in makers), in_parallel(lambda maker: maker(tables), makers), strict=True))


def quarantined_by_day(tables: TableStore) -> Rows:
    """Day of arrival, source, entity, reason, n, and a pointer to one example; what came back since is not among them."""
    arrived = tables.read(DELIVERY).where("status = 'ingested'").groupBy("source", "batch_id").agg(_day_of_arrival())
    waiting = tables.read(QUARANTINE).where("status = 'quarantined'").join(arrived, ["source", "batch_id"])
    exploded = waiting.withColumn("reason", F.explode("reasons"))
    counted = exploded.groupBy("day", "source", "entity", "reason").agg(F.count(F.lit(1)).alias("n"), _example())
    return _rows(counted, F.desc("day"), F.desc("n"), F.asc("source"), F.asc("entity"), F.asc("reason"))


def noted(tables: TableStore) -> Rows:
    """source, entity, column, code, severity, n, and a pointer to one example: what was found in rows that stayed."""
    found = tables.read(FINDING).where("severity IN ('nulled', 'warn') AND `column` <> '*'")
    counted = found.groupBy("source", "entity", "column", "code", "severity").agg(
        F.sum("num_rows").alias("n"), _example()
    )
    return _rows(counted, F.desc("n"), F.asc("source"), F.asc("entity"), F.asc("column"), F.asc("code"))


def warnings(tables: TableStore) -> Rows:
    """source, entity, code, n: deliveries of which an expectation was not met, and how many."""
    found = tables.read(FINDING).where("severity = 'warn' AND `column` = '*'")
    counted = found.groupBy("source", "entity", "code").agg(F.count(F.lit(1)).alias("n"))
    return _rows(counted, F.desc("n"), F.asc("source"), F.asc("entity"), F.asc("code"))


def came_back(tables: TableStore) -> Rows:
    """day, released_by, source, entity, reason, n, and the rules that had judged and that let the rows go."""
    left = tables.read(RELEASE).withColumns({"day": F.to_date("released_at"), "reason": F.array_join("reasons", ", ")})
    rules = (F.max("rules_version_before").alias("rules_before"), F.max("rules_version").alias("rules"))
    counted = left.groupBy("day", "released_by", "source", "entity", "reason").agg(F.count(F.lit(1)).alias("n"), *rules)
    return _rows(counted, F.desc("day"), F.desc("n"), F.asc("source"), F.asc("entity"), F.asc("reason"))


def gave_way(tables: TableStore) -> Rows:
    """source, entity, by_source, n: records that had been accepted and whose place a newer one took since."""
    counted = tables.read(SUPERSEDED).groupBy("source", "entity", "by_source").agg(F.count(F.lit(1)).alias("n"))
    return _rows(counted, F.desc("n"), F.asc("source"), F.asc("entity"), F.asc("by_source"))


def unread(tables: TableStore) -> Rows:
    """source, reason, n, file: files that were refused and never read since, and the last of them by name."""
    deliveries = tables.read(DELIVERY)
    read = deliveries.where("status = 'ingested'").select("source", "file_sha256").distinct()
    refused = deliveries.where("status = 'rejected'").join(read, ["source", "file_sha256"], "left_anti")
    counted = refused.groupBy("source", "reason").agg(F.count_distinct("file").alias("n"), F.max("file").alias("file"))
    return _rows(counted, F.desc("n"), F.asc("source"), F.asc("reason"))


def _day_of_arrival() -> Column:
    return F.to_date(F.max("arrived_at")).alias("day")


def _example() -> Column:
    return F.min(F.struct("file", "position")).alias("example")


def _rows(counted: DataFrame, *order: Column) -> Rows:
    made = []
    for row in counted.orderBy(*order).limit(_MAX_ROWS).collect():
        cells = row.asDict()
        example = cells.pop("example", None)
        made.append(cells if example is None else {**cells, "file": example["file"], "position": example["position"]})
    return made
