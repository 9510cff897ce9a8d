"""What became of each delivery: the statuses of its rows, what was found in them, and which expectations it does not meet."""

from collections.abc import Iterable
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from crm_spark.contracts.silver import EVENT_TIMES
from crm_spark.core.errors import CrmError
from crm_spark.quality.expectations import Expectation, rows_against_usual
from crm_spark.quality.rules import QualityRules
from crm_spark.stages.clean.conform import BLOCK, POINTER

MOSTLY_BAD = "mostly_quarantined"
MIN_ROWS = 20
"""A smaller delivery is not judged by the fraction of it that is bad."""
Key = tuple[str, str, str]
"""Source, entity, batch."""


def reconcile(
    entity: str, batches: dict[str, tuple[str, ...]], frame: DataFrame, rules: QualityRules
) -> list[dict[str, Any]]:
    """One row per source and batch, of those too that hold nothing of the entity; small: a delivery is one batch.

    `nulls` counts the gaps of the columns that an expectation is about.
    """
    event = EVENT_TIMES.get(entity)
    newest = F.max(F.when(F.col("_status") == "accepted", F.col(event))) if event else F.lit(None).cast("timestamp")
    counts = [
        F.count(F.when(F.col("_status") == status, 1)).alias(f"num_{status}")
        for status in ("accepted", "quarantined", "duplicate")
    ]
    watched = sorted(rules.null_checked_columns(entity))
    gaps = [F.count(F.when((F.col("_status") == "accepted") & F.col(name).isNull(), 1)) for name in watched]
    found = frame.groupBy("source", "batch_id").agg(
        F.count(F.lit(1)).alias("num_in"),
        *counts,
        newest.alias("last_event_at"),
        F.max("_arrived_at").alias("arrived_at"),
        F.array(*gaps).alias("nulls"),
    )
    by_batch = {
        (row["source"], row["batch_id"]): {**row.asDict(), "nulls": dict(zip(watched, row["nulls"], strict=True))}
        for row in found.collect()
    }
    empty: dict[str, Any] = dict.fromkeys(("num_in", "num_accepted", "num_quarantined", "num_duplicate"), 0)
    empty |= {"last_event_at": None, "arrived_at": None, "nulls": {}}
    statuses = [
        {"entity": entity, **empty, "source": source, "batch_id": batch, **by_batch.get((source, batch), {})}
        for source, ids in batches.items()
        for batch in ids
    ]
    for row in statuses:
        if row["num_in"] != row["num_accepted"] + row["num_quarantined"] + row["num_duplicate"]:
            raise CrmError(f"clean {row['source']} -> {entity}: rows in and rows out differ; nothing was written.")
    return statuses


def findings_of(entity: str, frame: DataFrame) -> list[dict[str, Any]]:
    """Grain: source, batch, code, column. Rows in which nothing was found cost nothing here."""
    found = frame.select("source", "batch_id", F.explode("_findings").alias("f"), *POINTER)
    grouped = found.groupBy("source", "batch_id", "f.code", "f.column", "f.severity")
    example = F.min(F.struct(*POINTER)).alias("example")
    return [
        {
            **{name: row[name] for name in ("source", "batch_id", "code", "column", "severity", "num_rows")},
            "entity": entity,
            "file": row["example"]["_file"],
            "position": row["example"]["_position"],
        }
        for row in grouped.agg(F.count(F.lit(1)).alias("num_rows"), example).collect()
    ]


def key_of(row: Any) -> Key:
    """Source, entity, batch of a status, a finding or a row of ops.reconciliation."""
    return (row["source"], row["entity"], row["batch_id"])


def breaches_of(
    rules: QualityRules,
    limit: float,
    statuses: Iterable[dict[str, Any]],
    findings: Iterable[dict[str, Any]],
    past: Iterable[Row],
) -> list[dict[str, Any]]:
    """The expectations that deliveries do not meet, as findings about the whole delivery.

    Args:
        rules: whose expectations are meant.
        limit: fraction of a delivery that may be quarantined.
        statuses: of the deliveries.
        findings: in their rows; one of severity block holds its delivery back.
        past: the statuses of deliveries before, for what is usual.
    """
    broken = []
    stops = {(key_of(f), f["code"]) for f in findings if f["severity"] == BLOCK}
    before = [(key_of(row), row["num_in"]) for row in past]
    for status in statuses:
        key = key_of(status)
        said = [(code, BLOCK) for k, code in sorted(stops) if k == key]
        if status["num_in"] >= MIN_ROWS and status["num_quarantined"] > limit * status["num_in"]:
            said.append((MOSTLY_BAD, BLOCK))
        usual = [n for k, n in before if k[:2] == key[:2] and k != key]
        said += [
            (expected.code, expected.severity)
            for expected in rules.expectations
            if expected.applies_to(key[0], key[1], status["num_in"])
            and not expected.is_met(measured(expected, status, usual))
        ]
        base = {"source": key[0], "entity": key[1], "batch_id": key[2], "column": "*", "file": None, "position": None}
        broken += [
            {**base, "code": code, "severity": severity, "num_rows": status["num_in"]} for code, severity in said
        ]
    return broken


def measured(expected: Expectation, status: dict[str, Any], usual: list[int]) -> float | None:
    """The figure of a delivery that an expectation is about; null where it cannot be had."""
    num_rows, num_accepted = status["num_in"], status["num_accepted"]
    match expected.measure:
        case "num_rows":
            return float(num_rows)
        case "rows_against_usual":
            return rows_against_usual(num_rows, usual)
        case "days_old":
            newest, arrived = status["last_event_at"], status["arrived_at"]
            return (arrived - newest).total_seconds() / 86_400 if newest and arrived else None
        case "null_fraction":
            return status["nulls"][expected.column] / num_accepted if num_accepted else None
        case "quarantined_fraction":
            return float(status["num_quarantined"] / num_rows) if num_rows else None
        case "duplicate_fraction":
            return float(status["num_duplicate"] / num_rows) if num_rows else None


def held_by(breaches: Iterable[dict[str, Any]]) -> dict[Key, str]:
    """The deliveries that are held back, and the first code because of which."""
    held: dict[Key, str] = {}
    for row in breaches:
        if row["severity"] == BLOCK:
            held.setdefault(key_of(row), row["code"])
    return held
