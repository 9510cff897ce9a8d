"""What follows from all that was found in typed rows: which are set aside, and what is noted of the others."""

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.quality.checks import REFERENCE_EXISTS
from crm_spark.quality.rules import Rule
from crm_spark.stages.clean.conform import BLOCK, NULLED, QUARANTINE, WARN, WHOLE_ROW, compact, finding

CONFLICTING_VALUES = "conflicting_values"
Held = Mapping[tuple[str, str, str], str]
"""(source, entity, batch) -> code of the expectation because of which the whole delivery is held back."""


def reasons_in(findings: Column) -> Column:
    """The distinct codes for which a row is set aside; empty: it is sound."""
    codes = F.array_distinct(F.transform(_of(findings, QUARANTINE, BLOCK), lambda f: f["code"]))
    # Most rows have no finding, and functions of higher order are slow also over nothing.
    return F.when(F.size(findings) > 0, codes).otherwise(F.array().cast("array<string>"))


def referred(rows: DataFrame, rule: Rule, keys: DataFrame | None) -> DataFrame:
    """Grain as `rows`. `_findings` with what a rule that refers to another entity finds.

    `keys`: system and value of all that may be referred to; None where no source makes that entity, and all is well then.
    """
    if keys is None or rule.reference is None:
        return rows
    name = REFERENCE_EXISTS.format("_".join(rule.reference))
    key = rule.reference[1]
    known = keys.select("system", F.col(key).alias("_key"), F.lit(True).alias(name)).distinct()
    joined = rows.withColumn("_key", F.col(rule.column)).join(known, ["system", "_key"], "left")
    is_whole = F.exists("_findings", lambda f: f["column"] == WHOLE_ROW)
    broken = F.when(rule.failed & ~is_whole, finding(F.lit(rule.code), rule.column, rule.severity))
    return joined.withColumn("_findings", F.concat("_findings", compact([broken]))).drop("_key", name)


def decided(rows: DataFrame, entity: str, held: Held) -> DataFrame:
    """Grain as `rows`. Adds `_reasons`, and fills `notes`; of a delivery that is held back nothing else is said."""
    whole = F.lit(None).cast("string")
    for (source, of, batch_id), code in sorted(held.items()):
        if of == entity:
            whole = F.when((F.col("source") == source) & (F.col("batch_id") == batch_id), code).otherwise(whole)
    findings = F.col("_findings")
    if held:
        findings = F.when(whole.isNotNull(), compact([finding(whole, WHOLE_ROW, QUARANTINE)])).otherwise(findings)
    notes = F.transform(_of(F.col("_findings"), NULLED, WARN), lambda f: F.concat_ws(":", f["code"], f["column"]))
    return rows.withColumn("_findings", findings).withColumns(
        {
            "_reasons": reasons_in(F.col("_findings")),
            "notes": F.when((F.size("_findings") > 0) & (F.size(notes) > 0), F.array_sort(notes)),
        }
    )


def contradictions_noted(columns: Sequence[str]) -> Column:
    """`_findings` with a warning for each of these columns in which a row contradicts the one it is folded into."""
    found = [
        F.when(F.contains("_contradicted", F.lit(f",{name},")), finding(F.lit(CONFLICTING_VALUES), name, WARN))
        for name in columns
    ]
    is_any = F.length("_contradicted") > len(",,")
    return F.when(is_any, F.concat("_findings", compact(found))).otherwise(F.col("_findings"))


def _of(findings: Column, *severities: str) -> Column:
    return F.filter(findings, lambda f: f["severity"].isin(*severities))
