"""Bronze records of one source as rows of one noun: typed, standardised, judged. Nothing is dropped here."""

from dataclasses import dataclass

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.silver import NOUNS
from crm_spark.contracts.source import HAS_DEFAULT, Feed, Source
from crm_spark.core.errors import ConfigError
from crm_spark.core.hashing import row_hash
from crm_spark.quality.rules import QualityRules
from crm_spark.stages.clean import standardise
from crm_spark.stages.clean.mapping import missing_required, reasons_of, typed_columns

JUDGEMENT = ("_reasons", "_file", "_position", "_rank", "_is_folded")


@dataclass(frozen=True)
class Money:
    """The reporting currency, and what a unit of another one is worth in it."""

    currency: str
    exchange_rates: dict[str, float]

    def rate(self, source: Source) -> tuple[str, float]:
        """The currency of a source's amounts and its worth.

        Raises:
            ConfigError: no rate is configured for it.
        """
        currency = source.currency or self.currency
        if currency == self.currency:
            return currency, 1.0
        if currency not in self.exchange_rates:
            raise ConfigError(
                f"company.exchange_rates: {source.name} sells in {currency} and there is no rate to {self.currency}. "
                f"Add `{currency}: <{self.currency} per unit>`."
            )
        return currency, self.exchange_rates[currency]


def conformed(bronze: DataFrame, source: Source, noun: str, feed: Feed, rules: QualityRules, money: Money) -> DataFrame:
    """Grain: bronze record. The noun's columns, `_reasons` (empty: accepted), and what points back to bronze."""
    typed = typed_columns(source, noun, feed, bronze, rules.placeholders)
    values = bronze.select(
        *(column.value.alias(column.name) for column in typed),
        reasons_of([c.reason for c in typed if f"{noun}.{c.name}" not in rules.tolerated]).alias("_conversion"),
        F.col("_row_id").alias("row_id"),
        F.col("_batch_id").alias("batch_id"),
        "_file",
        "_position",
        "_arrived_at",
        F.col("_corrupt").isNotNull().alias("_is_malformed"),
    )
    if noun == "person":
        values = standardise.person(values, default_country=source.country)
    filled = _filled(values, source, noun, money)
    if feed.fold:
        # A header repeated on each line, or not there at all: a line without a customer says nothing of a person.
        has_key = F.coalesce(*(F.col(name) for name in NOUNS[noun].grain if name != "system")).isNotNull()
        filled = filled.where(has_key | (F.size("_conversion") > 0) | F.col("_is_malformed"))
    return filled.withColumn("_reasons", _reasons(noun, feed, rules)).select(
        *NOUNS[noun].column_names,
        "_reasons",
        "_file",
        "_position",
        F.lit(source.rank).alias("_rank"),
        F.lit(feed.fold).alias("_is_folded"),
    )


def _filled(values: DataFrame, source: Source, noun: str, money: Money) -> DataFrame:
    """The columns no mapping names: name space, amounts, defaults, nulls for what the source lacks, and the hash."""
    frame = values.withColumn("system", F.lit(source.system)).withColumn("source", F.lit(source.name))
    contract = NOUNS[noun]
    for name in HAS_DEFAULT & set(contract.column_names):
        have = F.col(name) if name in frame.columns else F.lit(None).cast("boolean")
        frame = frame.withColumn(name, F.coalesce(have, F.lit(False)))
    if noun == "order_line":
        currency, rate = money.rate(source)
        price = F.col("unit_price").cast("decimal(30,8)") * F.lit(str(rate)).cast("decimal(20,8)")
        amount = F.try_multiply(F.col("quantity").try_cast("decimal(18,4)"), price)
        frame = frame.withColumn("currency", F.lit(currency)).withColumn("amount", amount.try_cast("decimal(18,4)"))
    for column in contract.columns:
        if column.name not in frame.columns and column.name != "record_hash":
            frame = frame.withColumn(column.name, F.lit(None).cast(column.type))
    envelope = {"source", "row_id", "batch_id", "record_hash"}
    business = [c for c in contract.column_names if c not in envelope]
    return frame.withColumn("record_hash", row_hash(*business))


def _reasons(noun: str, feed: Feed, rules: QualityRules) -> Column:
    broken = [F.when(rule.failed, F.lit(rule.code)) for rule in rules.of(noun)]
    absent = [F.col(name).isNull() for name in missing_required(noun, feed)]
    if noun == "order_line":
        absent.append(F.col("amount").isNull())
    is_missing = F.lit(False)
    for column in absent:
        is_missing = is_missing | column
    # A value that could not be converted has said why already; only a true gap is `missing_required`.
    missing = F.when(is_missing & (F.size("_conversion") == 0), F.lit("missing_required"))
    judged = F.array_distinct(F.concat(F.col("_conversion"), reasons_of([missing, *broken])))
    return F.when(F.col("_is_malformed"), F.array(F.lit("malformed_record"))).otherwise(judged)
