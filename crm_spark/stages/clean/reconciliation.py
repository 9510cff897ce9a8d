"""Reconcile each delivery: row counts by status, findings, and violated expectations."""

from collections.abc import Iterable
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from crm_spark.contracts.silver import EVENT_TIMES
from crm_spark.core.errors import CrmError
from crm_spark.quality.expectations import Expectation, rows_against_usual
from crm_spark.quality.rules import QualityRules
from crm_spark.stages.clean.conform import BLOCK, POINTER

MOSTLY_QUARANTINED = "mostly_quarantined"
READING_VERSION = 3
"""Raise it when the same cell gives another value, and describe the change in docs/operator.md, Upgrade. Earlier deliveries
keep their values, and `clean` says so."""
MIN_ROWS = 20
"""Minimum rows for the check of the quarantined fraction."""
Key = tuple[str, str, str]
"""Source, entity, batch."""


def reconcile(
    entity: str, batches: dict[str, tuple[str, ...]], frame: DataFrame, rules: QualityRules
) -> list[dict[str, Any]]:
    """Row counts per source and batch, including batches without rows of the entity.

    `nulls` contains the null counts of the columns with a null_fraction expectation, `references` the number of rows with a
    value in each column that references another entity.

    Raises:
        CrmError: rows in and rows out differ.
    """
    event = EVENT_TIMES.get(entity)
    # An appointment next month does not make its source fresh.
    newest = F.lit(None).cast("timestamp")
    if event:
        has_happened = F.col(event) <= F.col("_arrived_at") + F.expr("INTERVAL 1 DAY")
        newest = F.max(F.when((F.col("_status") == "accepted") & has_happened, F.col(event)))
    counts = [
        F.count(F.when(F.col("_status") == status, 1)).alias(f"num_{status}")
        for status in ("accepted", "quarantined", "duplicate")
    ]
    watched = sorted(rules.null_checked_columns(entity))
    null_counts = [F.count(F.when((F.col("_status") == "accepted") & F.col(name).isNull(), 1)) for name in watched]
    references = sorted(set(rules.reference_codes(entity).values()))
    counted = frame.groupBy("source", "batch_id").agg(
        F.count(F.lit(1)).alias("num_in"),
        *counts,
        newest.alias("last_event_at"),
        F.max("_arrived_at").alias("arrived_at"),
        F.array(*null_counts).alias("nulls"),
        F.array(*(F.count(name) for name in references)).alias("references"),
    )
    by_batch = {
        (row["source"], row["batch_id"]): {
            **row.asDict(),
            "nulls": dict(zip(watched, row["nulls"], strict=True)),
            "references": dict(zip(references, row["references"], strict=True)),
        }
        for row in counted.collect()
    }
    empty: dict[str, Any] = dict.fromkeys(("num_in", "num_accepted", "num_quarantined", "num_duplicate"), 0)
    empty |= {"last_event_at": None, "arrived_at": None, "nulls": {}, "references": {}}
    statuses = [
        {"entity": entity, **empty, "source": source, "batch_id": batch, **by_batch.get((source, batch), {})}
        for source, ids in batches.items()
        for batch in ids
    ]
    for row in statuses:
        if row["num_in"] != row["num_accepted"] + row["num_quarantined"] + row["num_duplicate"]:
            raise CrmError(
                f"clean {row['source']} -> {entity}: reconciliation failed in batch {row['batch_id']}: {row['num_in']} rows in, "
                f"{row['num_accepted']} accepted + {row['num_quarantined']} quarantined + {row['num_duplicate']} "
                "duplicates out. Silver was not changed. Please report this as a bug."
            )
    return statuses


def findings_of(entity: str, frame: DataFrame) -> list[dict[str, Any]]:
    """Number of rows and one example per finding. Grain: source, batch, code, column."""
    exploded = frame.select("source", "batch_id", F.explode("_findings").alias("f"), *POINTER)
    grouped = exploded.groupBy("source", "batch_id", "f.code", "f.column", "f.severity")
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
    """Source, entity and batch of a reconciliation row or finding."""
    return (row["source"], row["entity"], row["batch_id"])


def breaches_of(
    rules: QualityRules,
    limit: float,
    statuses: Iterable[dict[str, Any]],
    findings: Iterable[dict[str, Any]],
    past: Iterable[Row],
) -> list[dict[str, Any]]:
    """Violated expectations, as findings about the whole delivery.

    Args:
        rules: rule set with the expectations.
        limit: maximum quarantined fraction of a delivery.
        statuses: row counts of the deliveries.
        findings: findings of their rows; a finding of severity block blocks its delivery.
        past: rows of ops.reconciliation for earlier deliveries.
    """
    violations, findings = [], list(findings)
    blocking = {(key_of(f), f["code"]) for f in findings if f["severity"] == BLOCK}
    before = [(key_of(row), row["num_in"]) for row in past]
    for status in statuses:
        key = key_of(status)
        unmatched = unmatched_rows(rules, key, findings)
        codes = [(code, BLOCK) for k, code in sorted(blocking) if k == key]
        if status["num_in"] >= MIN_ROWS and status["num_quarantined"] > limit * status["num_in"]:
            codes.append((MOSTLY_QUARANTINED, BLOCK))
        usual = [n for k, n in before if k[:2] == key[:2] and k != key]
        codes += [
            (expected.code, expected.severity)
            for expected in rules.expectations
            if expected.applies_to(key[0], key[1], status["num_in"])
            and not expected.is_met(measured(expected, status, usual, unmatched))
        ]
        base = {"source": key[0], "entity": key[1], "batch_id": key[2], "column": "*", "file": None, "position": None}
        violations += [
            {**base, "code": code, "severity": severity, "num_rows": status["num_in"]} for code, severity in codes
        ]
    return violations


def unmatched_rows(rules: QualityRules, key: Key, findings: Iterable[dict[str, Any]]) -> dict[str, int]:
    """Column that references another entity -> number of rows of a delivery whose reference is not found."""
    codes = rules.reference_codes(key[1])
    unmatched = dict.fromkeys(codes.values(), 0)
    for found in findings:
        if key_of(found) == key and codes.get(found["code"]) == found["column"]:
            unmatched[found["column"]] += found["num_rows"]
    return unmatched


def measured(
    expected: Expectation, status: dict[str, Any], usual: list[int], unmatched: dict[str, int]
) -> float | None:
    """Metric of a delivery that an expectation checks; None if it is unknown."""
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
        case "unmatched_fraction":
            num_references = status["references"].get(expected.column, 0)
            return unmatched.get(str(expected.column), 0) / num_references if num_references else None
        case "quarantined_fraction":
            return float(status["num_quarantined"] / num_rows) if num_rows else None
        case "duplicate_fraction":
            return float(status["num_duplicate"] / num_rows) if num_rows else None


def blocked_deliveries(breaches: Iterable[dict[str, Any]]) -> dict[Key, str]:
    """Blocked deliveries with the first blocking reason code."""
    blocked: dict[Key, str] = {}
    for row in breaches:
        if row["severity"] == BLOCK:
            blocked.setdefault(key_of(row), row["code"])
    return blocked
