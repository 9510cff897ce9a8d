"""Bronze records of one source as rows of one entity: typed, standardised, judged. Nothing is dropped here."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.silver import ENTITIES
from crm_spark.core.errors import ConfigError
from crm_spark.core.hashing import row_hash
from crm_spark.quality.rules import QualityRules
from crm_spark.sources.config import HAS_DEFAULT, Feed, Source
from crm_spark.stages.clean import standardise
from crm_spark.stages.clean.mapping import REASON, SAID, TEXT, VALUE, converted, missing_required
from crm_spark.stages.clean.schema_drift import MISSING_COLUMN
from crm_spark.stages.clean.standardise import Standards

POINTER = ("_file", "_position")
FINDING = "struct<code: string, column: string, severity: string>"
WHOLE_ROW = "*"
"""Column of a finding about the row as a whole."""
NULLED, WARN, QUARANTINE, BLOCK = "nulled", "warn", "quarantine", "block"
PLACEHOLDER, MALFORMED, MISSING = "placeholder", "malformed_record", "missing_required"


@dataclass(frozen=True)
class Money:
    """The reporting currency, and what a unit of another one is worth in it."""

    currency: str
    exchange_rates: dict[str, float]

    def require_rate(self, source: Source) -> None:
        """Sees to it that a source's amounts can be reckoned.

        Raises:
            ConfigError: no rate is configured for its currency.
        """
        currency = source.currency or self.currency
        if currency not in {self.currency, *self.exchange_rates}:
            raise ConfigError(
                f"company.exchange_rates: {source.name} sells in {currency} and there is no rate to {self.currency}. "
                f"Add `{currency}: <{self.currency} per unit>`."
            )

    def amount(self, price: Column, currency: Column) -> Column:
        """A price in the reporting currency; null where no rate is configured."""
        rates = {self.currency: 1.0, **self.exchange_rates}
        known = F.create_map(*(F.lit(part) for code, rate in rates.items() for part in (code, str(rate))))
        return price.cast("decimal(30,8)") * F.try_element_at(known, currency).cast("decimal(20,8)")


@dataclass(frozen=True)
class RowValidator:
    """What rows are held to.

    Attributes:
        rules: rules, placeholders, tolerated columns.
        money: how amounts are reckoned.
        standards: how names, addresses and texts are read.
    """

    rules: QualityRules
    money: Money
    standards: Standards


def conformed(
    bronze: DataFrame, source: Source, entity: str, feed: Feed, judge: RowValidator, *, lacking: Sequence[str] = ()
) -> DataFrame:
    """Grain: bronze record. The entity's columns, `_findings`, and what points to bronze.

    `lacking`: digests of files that come without a column this feed reads; none of their records is accepted.
    """
    typed, names = converted(bronze, source, entity, feed, judge.rules, judge.standards)
    tolerated = {name for name in names if f"{entity}.{name}" in judge.rules.tolerated}
    has_failed = [F.col(REASON.format(name)).isNotNull() for name in names if name not in tolerated]
    values = typed.select(
        *(F.col(VALUE.format(name)).alias(name) for name in names),
        _opaque(reduce(Column.__or__, has_failed, F.lit(False))).alias("_has_failed"),
        compact(_conversion_findings(names, tolerated)).alias("_said"),
        F.col("_row_id").alias("row_id"),
        F.col("_batch_id").alias("batch_id"),
        *POINTER,
        "_arrived_at",
        F.col("_corrupt").isNotNull().alias("_is_malformed"),
        F.col("_file_sha256").isin(*lacking).alias("_is_lacking"),
    )
    if entity == "person":
        values = standardise.person(values, judge.standards, default_country=source.country)
    if "plain_text" in ENTITIES[entity].column_names:
        values = standardise.texts(values, judge.standards)
    filled = _filled(values, source, entity, judge.money)
    if feed.one_row_per_key:
        # A header repeated on each line, or not there at all: a line without a customer says nothing of a person.
        has_key = F.coalesce(*(F.col(name) for name in ENTITIES[entity].grain if name != "system")).isNotNull()
        filled = filled.where(has_key | F.col("_has_failed") | F.col("_is_malformed"))
    return filled.withColumn("_findings", _found(entity, feed, judge.rules)).select(
        *ENTITIES[entity].column_names,
        "_findings",
        *POINTER,
        "_arrived_at",
        F.lit(source.rank).alias("_rank"),
        F.lit(feed.one_row_per_key).alias("_is_one_row_per_key"),
    )


def _opaque(column: Column) -> Column:
    """The same value, kept from being copied into the filters above it.

    Spark pushes a filter down by writing the filtered expression out in full, and that in turn: of rules upon rules upon
    conversions this makes a plan that takes minutes. It never moves what is not deterministic.
    """
    return F.when(F.spark_partition_id() >= 0, column)


def _conversion_findings(names: list[str], tolerated: set[str]) -> list[Column]:
    found = []
    for name in names:
        reason, severity = F.col(REASON.format(name)), NULLED if name in tolerated else QUARANTINE
        is_placeholder = F.col(SAID.format(name)).isNotNull() & F.col(TEXT.format(name)).isNull()
        found += [
            F.when(is_placeholder, finding(F.lit(PLACEHOLDER), name, NULLED)),
            F.when(reason.isNotNull(), finding(reason, name, severity)),
        ]
    return found


def finding(code: Column, column: str, severity: str) -> Column:
    """What was found in a row: code, column, and what follows."""
    return F.struct(code.alias("code"), F.lit(column).alias("column"), F.lit(severity).alias("severity"))


def compact(findings: list[Column]) -> Column:
    """The findings that there are, as an array; most rows have none.

    Put together by plain means: array_compact is a function of higher order, for which Spark generates no code, nor for
    anything that stands inside.
    """
    nothing = F.array().cast(f"array<{FINDING}>")
    if not findings:
        return nothing
    each = [F.when(found.isNotNull(), F.array(found)).otherwise(nothing) for found in findings]
    is_any = reduce(Column.__or__, (found.isNotNull() for found in findings))
    return F.when(is_any, F.concat(*each)).otherwise(nothing)


def _filled(values: DataFrame, source: Source, entity: str, money: Money) -> DataFrame:
    """The columns no mapping names: name space, amounts, defaults, nulls for what the source lacks, and the hash."""
    contract = ENTITIES[entity]
    # Few and wide steps: Spark analyses the whole plan anew at each.
    made = {"system": F.lit(source.system), "source": F.lit(source.name)}
    for name in HAS_DEFAULT & set(contract.column_names):
        have = F.col(name) if name in values.columns else F.lit(None).cast("boolean")
        made[name] = F.coalesce(have, F.lit(False))
    if entity == "order_line":
        said = F.upper("currency") if "currency" in values.columns else F.lit(None).cast("string")
        made["currency"] = F.coalesce(said, F.lit(source.currency or money.currency))
        price = money.amount(F.col("unit_price"), made["currency"])
        amount = F.try_multiply(F.col("quantity").try_cast("decimal(18,4)"), price)
        made["amount"] = amount.try_cast("decimal(18,4)")
    for column in contract.columns:
        if column.name not in {*values.columns, *made, "record_hash"}:
            made[column.name] = F.lit(None).cast(column.type)
    envelope = {"source", "row_id", "batch_id", "record_hash", "notes"}
    business = [c for c in contract.column_names if c not in envelope]
    return values.withColumns(made).withColumn("record_hash", row_hash(*business))


def _found(entity: str, feed: Feed, rules: QualityRules) -> Column:
    """All that is found in a row by itself, in one pass."""
    absent = missing_required(entity, feed)
    has_said = F.col("_has_failed")
    # A value that could not be converted has said why already; only a true gap is `missing_required`.
    missing = [F.when(F.col(name).isNull() & ~has_said, finding(F.lit(MISSING), name, QUARANTINE)) for name in absent]
    broken = [
        F.when(rule.failed, finding(F.lit(rule.code), rule.column, rule.severity))
        for rule in rules.of(entity)
        if rule.reference is None
    ]
    if entity == "person":
        broken += [
            F.when(F.contains("_unreadable", F.lit(name)), finding(F.lit(f"bad_{name}"), name, NULLED))
            for name in standardise.MAY_BE_UNREADABLE
        ]
    if entity == "order_line":
        is_unknown = F.col("amount").isNull() & ~has_said
        for name in ("quantity", "unit_price"):
            is_unknown = is_unknown & F.col(name).isNotNull()
        broken.append(F.when(is_unknown, finding(F.lit("unknown_currency"), "currency", QUARANTINE)))
    found = F.concat(F.col("_said"), compact([*missing, *broken]))
    whole = F.when(F.col("_is_malformed"), MALFORMED).when(F.col("_is_lacking"), MISSING_COLUMN)
    return F.when(whole.isNotNull(), compact([finding(whole, WHOLE_ROW, QUARANTINE)])).otherwise(found)
