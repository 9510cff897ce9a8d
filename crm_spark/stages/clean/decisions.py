"""Decide from the findings which rows are quarantined and which findings become notes."""

from collections.abc import Collection, Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.quality.checks import REFERENCE_EXISTS
from crm_spark.quality.rules import Rule
from crm_spark.stages.clean.conform import BLOCK, NULLED, QUARANTINE, WARN, WHOLE_ROW, compact, finding
from crm_spark.stages.clean.deduplicate import REPEATED_KEY
from crm_spark.stages.clean.lines import CONTRADICTED, LATER_LINE

CONFLICTING_VALUES = "conflicting_values"
BlockedDeliveries = Mapping[tuple[str, str, str], str]
"""(source, entity, batch) -> reason code of the expectation that blocks the delivery."""


def reasons_in(findings: Column) -> Column:
    """Distinct reason codes that quarantine a row; empty for a valid row."""
    codes = F.array_distinct(F.transform(_with_severity(findings, QUARANTINE, BLOCK), lambda f: f["code"]))
    # Most rows have no finding; higher-order functions are slow even on empty arrays.
    return F.when(F.size(findings) > 0, codes).otherwise(F.array().cast("array<string>"))


def with_reference_findings(rows: DataFrame, rule: Rule, keys: DataFrame | None, systems: Collection[str]) -> DataFrame:
    """Grain as `rows`. Adds the findings of a rule that references another entity to `_findings`.

    Args:
        rows: typed rows.
        rule: rule with the check `exists_in`.
        keys: system and key of the existing records; None if no source feeds that entity.
        systems: systems in which a source feeds that entity; rows of other systems pass.
    """
    if keys is None or rule.reference is None:
        return rows
    name = REFERENCE_EXISTS.format("_".join(rule.reference))
    key = rule.reference[1]
    known = keys.select("system", F.col(key).alias("_key"), F.lit(True).alias(name)).distinct()
    joined = rows.withColumn("_key", F.col(rule.column)).join(known, ["system", "_key"], "left")
    is_whole_row = F.exists("_findings", lambda f: f["column"] == WHOLE_ROW)
    is_checked = F.col("system").isin(*systems) & ~is_whole_row & ~F.col(LATER_LINE)
    violation = F.when(rule.violation & is_checked, finding(F.lit(rule.code), rule.column, rule.severity))
    return joined.withColumn("_findings", F.concat("_findings", compact([violation]))).drop("_key", name)


def with_decision(rows: DataFrame, entity: str, blocked: BlockedDeliveries) -> DataFrame:
    """Grain as `rows`. Adds `_reasons` and fills `notes`; rows of a blocked delivery get its reason code only."""
    code_of_row = F.lit(None).cast("string")
    for (source, owner, batch_id), code in sorted(blocked.items()):
        if owner == entity:
            is_blocked = (F.col("source") == source) & (F.col("batch_id") == batch_id)
            code_of_row = F.when(is_blocked, code).otherwise(code_of_row)
    findings = F.col("_findings")
    if blocked:
        of_delivery = compact([finding(code_of_row, WHOLE_ROW, QUARANTINE)])
        findings = F.when(code_of_row.isNotNull(), of_delivery).otherwise(findings)
    notes = F.transform(
        _with_severity(F.col("_findings"), NULLED, WARN), lambda f: F.concat_ws(":", f["code"], f["column"])
    )
    return rows.withColumn("_findings", findings).withColumns(
        {
            "_reasons": reasons_in(F.col("_findings")),
            "notes": F.when((F.size("_findings") > 0) & (F.size(notes) > 0), F.array_sort(notes)),
        }
    )


def with_conflicts(columns: Sequence[str], key: str) -> Column:
    """`_findings` plus warnings about records of one key that disagree.

    Adds `conflicting_values` for each of `columns` that differs from the row kept for the key, and `repeated_key` for another
    record of the same file and age.
    """
    conflicts = [
        F.when(F.contains(CONTRADICTED, F.lit(f",{name},")), finding(F.lit(CONFLICTING_VALUES), name, WARN))
        for name in columns
    ]
    is_repeated = F.coalesce(F.col("_duplicate") == REPEATED_KEY, F.lit(False))
    conflicts.append(F.when(is_repeated, finding(F.lit(REPEATED_KEY), key, WARN)))
    has_any = F.coalesce(F.length(CONTRADICTED) > len(",,"), F.lit(False)) | is_repeated
    return F.when(has_any, F.concat("_findings", compact(conflicts))).otherwise(F.col("_findings"))


def _with_severity(findings: Column, *severities: str) -> Column:
    return F.filter(findings, lambda f: f["severity"].isin(*severities))
