"""Convert bronze records of one source to rows of one entity: type, standardise and check. Drops no rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.attributes import packed
from crm_spark.contracts.silver import ENTITIES
from crm_spark.core.hashing import row_hash
from crm_spark.quality.rules import QualityRules
from crm_spark.sources.config import Source
from crm_spark.sources.mappings import ATTRIBUTE, ATTRIBUTE_TYPES, HAS_DEFAULT, Feed
from crm_spark.stages.clean import standardise
from crm_spark.stages.clean.amounts import Money, amounts_of, unconverted
from crm_spark.stages.clean.lines import CONTRADICTED, LATER_LINE, combined_lines
from crm_spark.stages.clean.mapping import (
    CODE,
    PLACEHOLDER,
    REASON,
    VALUE,
    CompanyDefaults,
    converted,
    missing_required,
)
from crm_spark.stages.clean.schema_drift import MISSING_COLUMN
from crm_spark.stages.clean.standardise import Standards

POINTER = ("_file", "_position")
FINDING = "struct<code: string, column: string, severity: string>"
WHOLE_ROW = "*"
"""Column name of findings about the whole row."""
INFO, NULLED, WARN, QUARANTINE, BLOCK = "info", "nulled", "warn", "quarantine", "block"
MALFORMED, MISSING, LEFT_OUT = "malformed_record", "missing_required", "left_out"


@dataclass(frozen=True)
class RowValidator:
    """Rules and standards applied to rows.

    Attributes:
        rules: rules, null markers, tolerated columns.
        money: currency conversion.
        standards: standardisation of names, addresses and texts.
        time_zone: IANA time zone of the company.
    """

    rules: QualityRules
    money: Money
    standards: Standards
    time_zone: str = "UTC"


def conformed(
    bronze: DataFrame,
    source: Source,
    entity: str,
    feed: Feed,
    validator: RowValidator,
    *,
    incomplete_files: Sequence[str] = (),
) -> DataFrame:
    """Grain: bronze record. Returns the entity's columns, `_findings` and the position in bronze.

    `incomplete_files`: digests of files without a mapped column; all of their records are quarantined.
    """
    defaults = CompanyDefaults(validator.money.currency, validator.time_zone)
    typed, names = converted(bronze, source, entity, feed, validator.rules, validator.standards, defaults)
    tolerated = {name for name in names if f"{entity}.{name}" in validator.rules.tolerated}
    tolerated |= {name for name in names if feed.mapped[name].lookup} - set(missing_required(entity, feed))
    tolerated |= {ATTRIBUTE.format(name) for name in feed.attributes}
    has_failed = [F.col(REASON.format(name)).isNotNull() for name in names if name not in tolerated]
    values = typed.select(
        *(F.col(VALUE.format(name)).alias(name) for name in names),
        _opaque(reduce(Column.__or__, has_failed, F.lit(False))).alias("_has_failed"),
        compact(_conversion_findings(names, tolerated)).alias("_conversion_findings"),
        F.col("_row_id").alias("row_id"),
        F.col("_batch_id").alias("batch_id"),
        *POINTER,
        "_arrived_at",
        F.col("_corrupt").isNotNull().alias("_is_malformed"),
        F.col("_file_sha256").isin(*incomplete_files).alias("_is_incomplete"),
    )
    grain = [name for name in ENTITIES[entity].grain if name != "system"]
    if feed.one_row_per_key:
        # A line without a key (for example without a customer) carries no data of this entity.
        has_key = F.coalesce(*(F.col(name) for name in grain)).isNotNull()
        values = values.where(has_key | F.col("_has_failed") | F.col("_is_malformed"))
        values = combined_lines(values, grain, [name for name in names if name not in grain])
    else:
        values = values.withColumns({LATER_LINE: F.lit(False), CONTRADICTED: F.lit(None).cast("string")})
    if entity == "person":
        values = standardise.person(values, validator.standards, default_country=source.country)
    if "plain_text" in ENTITIES[entity].column_names:
        values = standardise.texts(values, validator.standards)
    filled = _filled(values, source, entity, feed, validator.money)
    return filled.withColumn("_findings", _row_findings(entity, feed, validator.rules)).select(
        *ENTITIES[entity].column_names,
        "_findings",
        *POINTER,
        "_arrived_at",
        F.lit(source.rank).alias("_rank"),
        F.lit(feed.one_row_per_key).alias("_is_one_row_per_key"),
        LATER_LINE,
        CONTRADICTED,
    )


def _opaque(column: Column) -> Column:
    """Return the same value, but prevent filter push-down from inlining the expression.

    Spark inlines the expression into every pushed-down filter; with nested rules and conversions, planning takes minutes.
    Non-deterministic expressions are not pushed down.
    """
    return F.when(F.spark_partition_id() >= 0, column)


def _conversion_findings(names: list[str], tolerated: set[str]) -> list[Column]:
    """One finding per column at most: a placeholder, an invalid value or a warning."""
    findings = []
    for name in names:
        code, severity = F.col(CODE.format(name)), NULLED if name in tolerated else QUARANTINE
        effect = (
            F.when(code == PLACEHOLDER, NULLED).when(F.col(REASON.format(name)).isNotNull(), severity).otherwise(WARN)
        )
        findings.append(F.when(code.isNotNull(), finding(code, name, effect)))
    return findings


def finding(code: Column, column: str, severity: str | Column) -> Column:
    """Finding struct: reason code, column and severity."""
    effect = severity if isinstance(severity, Column) else F.lit(severity)
    return F.struct(code.alias("code"), F.lit(column).alias("column"), effect.alias("severity"))


def compact(findings: list[Column]) -> Column:
    """Array of the non-null findings.

    Avoids array_compact: it is a higher-order function, which disables code generation for everything inside it.
    """
    empty = F.array().cast(f"array<{FINDING}>")
    if not findings:
        return empty
    arrays = [F.when(item.isNotNull(), F.array(item)).otherwise(empty) for item in findings]
    has_any = reduce(Column.__or__, (item.isNotNull() for item in findings))
    return F.when(has_any, F.concat(*arrays)).otherwise(empty)


def _filled(values: DataFrame, source: Source, entity: str, feed: Feed, money: Money) -> DataFrame:
    """Add the unmapped columns: system, amounts, defaults, nulls for missing columns, and the record hash."""
    contract = ENTITIES[entity]
    # Add many columns per step: Spark re-analyses the whole plan at each step.
    added = {"system": F.lit(source.system), "source": F.lit(source.name)}
    for name in HAS_DEFAULT & set(contract.column_names):
        have = F.col(name) if name in values.columns else F.lit(None).cast("boolean")
        added[name] = F.coalesce(have, F.lit(False))
    added |= amounts_of(values, source, entity, money)
    if feed.attributes:
        types = {name: ATTRIBUTE_TYPES[attribute.type] for name, attribute in feed.attributes.items()}
        added["attributes"] = packed({name: (F.col(ATTRIBUTE.format(name)), kind) for name, kind in types.items()})
    known = {*values.columns, *added}
    for column in contract.columns:
        if column.name not in known | {"record_hash"}:
            added[column.name] = F.lit(None).cast(column.type)
    envelope = {"source", "row_id", "batch_id", "record_hash", "notes", "merged_from"}
    business = [c for c in contract.columns if c.name not in envelope]
    digest = row_hash(
        *(c.name for c in business if not c.is_added),
        where_known=[c.name for c in business if c.is_added and c.name in known],
    )
    return values.withColumns(added).withColumn("record_hash", digest)


def _row_findings(entity: str, feed: Feed, rules: QualityRules) -> Column:
    """All findings that depend on the row alone, in one pass."""
    required = missing_required(entity, feed)
    has_failed = F.col("_has_failed")
    # A failed conversion already has a reason code; `missing_required` is for empty values only.
    missing = [
        F.when(F.col(name).isNull() & ~has_failed, finding(F.lit(MISSING), name, QUARANTINE)) for name in required
    ]
    violations = [
        F.when(rule.violation, finding(F.lit(rule.code), rule.column, rule.severity))
        for rule in rules.of(entity)
        if rule.reference is None
    ]
    if entity == "person":
        violations += [
            F.when(F.contains("_unreadable", F.lit(name)), finding(F.lit(f"bad_{name}"), name, NULLED))
            for name in standardise.MAY_BE_UNREADABLE
        ]
    if (is_unknown := unconverted(entity)) is not None:
        severity = QUARANTINE if entity == "order_line" else WARN
        violations.append(F.when(is_unknown & ~has_failed, finding(F.lit("unknown_currency"), "currency", severity)))
    # The first line of a record stands for its later lines.
    of_record = F.when(F.col(LATER_LINE), compact([])).otherwise(compact([*missing, *violations]))
    findings = F.concat(F.col("_conversion_findings"), of_record)
    row_code = F.when(F.col("_is_malformed"), MALFORMED).when(F.col("_is_incomplete"), MISSING_COLUMN)
    return F.when(row_code.isNotNull(), compact([finding(row_code, WHOLE_ROW, QUARANTINE)])).otherwise(findings)
