"""Log the row counts, findings and violated expectations of a run."""

from collections import Counter
from typing import Any

from crm_spark.core.context import JobContext
from crm_spark.quality.rules import QualityRules
from crm_spark.stages.clean.conform import BLOCK, INFO, NULLED, QUARANTINE, WARN
from crm_spark.stages.clean.reconciliation import key_of, unmatched_rows

_EFFECTS = {
    INFO: "records",
    NULLED: "values set to null",
    WARN: "warnings",
    QUARANTINE: "quarantined",
    BLOCK: "blocked",
}
"""Effect of a finding in log messages, by severity."""


def log_reconciliation(ctx: JobContext, statuses: list[dict[str, Any]], findings: list[dict[str, Any]]) -> None:
    """Log the row counts of each entity, followed by its findings."""
    sums: dict[str, Counter[str]] = {}
    for row in statuses:
        totals = sums.setdefault(row["entity"], Counter())
        totals.update(
            {status: row[status] for status in ("num_in", "num_accepted", "num_quarantined", "num_duplicate")}
        )
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for row in findings:
        counts[(row["entity"], row["severity"], row["code"], row["column"])] += row["num_rows"]
    for entity, totals in sorted(sums.items()):
        ctx.log.info("clean %-18s %9d rows in = %d accepted + %d quarantined + %d duplicates", entity, *totals.values())
        for (owner, severity, code, column), num_rows in sorted(counts.items()):
            if owner == entity:
                ctx.log.info("clean %-18s %9d %s: %s (%s)", entity, num_rows, _EFFECTS[severity], code, column)


def log_references(
    ctx: JobContext, rules: QualityRules, statuses: list[dict[str, Any]], findings: list[dict[str, Any]]
) -> None:
    """Log the share of each delivery whose references are not found."""
    for status in statuses:
        for column, num_rows in unmatched_rows(rules, key_of(status), findings).items():
            if num_rows:
                named = status["references"][column]
                where = (status["source"], status["entity"], status["batch_id"])
                what = (num_rows, named, 100 * num_rows / named, column)
                ctx.log.info(
                    "clean %s -> %s, batch %s: %d of %d rows (%.1f %%) have a %s that is not found", *where, *what
                )


def log_warnings(ctx: JobContext, breaches: list[dict[str, Any]]) -> None:
    """Log the violated expectations of deliveries that are kept."""
    for row in breaches:
        ctx.log.warning(
            "clean %s -> %s: batch %s of %d rows violates the expectation %s. It is kept; check the delivery and `system`, "
            "mapping and rules of the source (docs/reference/reason-codes.md)",
            *(row[name] for name in ("source", "entity", "batch_id", "num_rows", "code")),
        )
