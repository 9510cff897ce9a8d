"""Data quality facts: quarantined, released and superseded records, findings in accepted records, rejected files.

Every list has at most 60 rows. Examples are given by file and record position, never by value.
"""

from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.ops import DELIVERY, FINDING, QUARANTINE, RELEASE, SUPERSEDED
from crm_spark.core.context import in_parallel
from crm_spark.core.days import day_of
from crm_spark.core.tables import TableStore

Rows = list[dict[str, Any]]
_MAX_ROWS = 60


def quality_facts(tables: TableStore, zone: str) -> dict[str, Rows]:
    """Return the rows of each query below, by function name, with days in an IANA time zone."""
    queries = (quarantined_by_day, findings_in_accepted, warnings, released, superseded, rejected_files)
    return dict(
        zip((q.__name__ for q in queries), in_parallel(lambda query: query(tables, zone), queries), strict=True)
    )


def quarantined_by_day(tables: TableStore, zone: str) -> Rows:
    """Return day of arrival, source, entity, reason, n, file, position; without released records."""
    arrived = (
        tables.read(DELIVERY).where("status = 'ingested'").groupBy("source", "batch_id").agg(_day_of_arrival(zone))
    )
    waiting = tables.read(QUARANTINE).where("status = 'quarantined'").join(arrived, ["source", "batch_id"])
    exploded = waiting.withColumn("reason", F.explode("reasons"))
    counted = exploded.groupBy("day", "source", "entity", "reason").agg(F.count(F.lit(1)).alias("n"), _example())
    return _rows(counted, F.desc("day"), F.desc("n"), F.asc("source"), F.asc("entity"), F.asc("reason"))


def findings_in_accepted(tables: TableStore, zone: str) -> Rows:
    """Return source, entity, column, code, severity, n, file, position of findings in accepted records."""
    findings = tables.read(FINDING).where("severity IN ('nulled', 'warn') AND `column` <> '*'")
    counted = findings.groupBy("source", "entity", "column", "code", "severity").agg(
        F.sum("num_rows").alias("n"), _example()
    )
    return _rows(counted, F.desc("n"), F.asc("source"), F.asc("entity"), F.asc("column"), F.asc("code"))


def warnings(tables: TableStore, zone: str) -> Rows:
    """Return source, entity, code, n: the number of deliveries that failed an expectation."""
    findings = tables.read(FINDING).where("severity = 'warn' AND `column` = '*'")
    counted = findings.groupBy("source", "entity", "code").agg(F.count(F.lit(1)).alias("n"))
    return _rows(counted, F.desc("n"), F.asc("source"), F.asc("entity"), F.asc("code"))


def released(tables: TableStore, zone: str) -> Rows:
    """Return day, released_by, source, entity, reason, n, and the rules versions before and after the release."""
    releases = tables.read(RELEASE).withColumns(
        {"day": day_of("released_at", zone), "reason": F.array_join("reasons", ", ")}
    )
    rules = (F.max("rules_version_before").alias("rules_before"), F.max("rules_version").alias("rules"))
    counted = releases.groupBy("day", "released_by", "source", "entity", "reason").agg(
        F.count(F.lit(1)).alias("n"), *rules
    )
    return _rows(counted, F.desc("day"), F.desc("n"), F.asc("source"), F.asc("entity"), F.asc("reason"))


def superseded(tables: TableStore, zone: str) -> Rows:
    """Return source, entity, by_source, n of accepted records that a newer version replaced."""
    counted = tables.read(SUPERSEDED).groupBy("source", "entity", "by_source").agg(F.count(F.lit(1)).alias("n"))
    return _rows(counted, F.desc("n"), F.asc("source"), F.asc("entity"), F.asc("by_source"))


def rejected_files(tables: TableStore, zone: str) -> Rows:
    """Return source, reason, n, file of rejected files that were not ingested later; `file` is the last by name."""
    deliveries = tables.read(DELIVERY)
    ingested = deliveries.where("status = 'ingested'").select("source", "file_sha256").distinct()
    rejected = deliveries.where("status = 'rejected'").join(ingested, ["source", "file_sha256"], "left_anti")
    counted = rejected.groupBy("source", "reason").agg(F.count_distinct("file").alias("n"), F.max("file").alias("file"))
    return _rows(counted, F.desc("n"), F.asc("source"), F.asc("reason"))


def _day_of_arrival(zone: str) -> Column:
    return day_of(F.max("arrived_at"), zone).alias("day")


def _example() -> Column:
    return F.min(F.struct("file", "position")).alias("example")


def _rows(counted: DataFrame, *order: Column) -> Rows:
    rows = []
    for row in counted.orderBy(*order).limit(_MAX_ROWS).collect():
        cells = row.asDict()
        example = cells.pop("example", None)
        rows.append(cells if example is None else {**cells, "file": example["file"], "position": example["position"]})
    return rows
