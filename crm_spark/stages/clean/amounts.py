"""Amounts of records in their own currency and in the company's reporting currency."""

from dataclasses import dataclass
from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.silver import ENTITIES
from crm_spark.contracts.types import MONEY
from crm_spark.core.errors import ConfigError
from crm_spark.sources.config import Source
from crm_spark.sources.mappings import FILLED_BY_CLEAN

CONVERTED = {
    "order": {"amount": "total", "discount_amount": "discount"},
    "payment": {"amount": "value"},
    "subscription": {"amount": "price"},
    "usage": {"amount": "value"},
    "appointment": {"amount": "price"},
    "deal": {"amount": "value"},
}
"""Entity -> column in the reporting currency -> column in the record's currency. Order lines are computed from three columns."""
_DISCOUNT = "discount"


@dataclass(frozen=True)
class Money:
    """Currency conversion to the reporting currency."""

    currency: str
    exchange_rates: dict[str, float]

    def require_rate(self, source: Source) -> None:
        """Check that an exchange rate exists for a source.

        Raises:
            ConfigError: no rate is configured for its currency.
        """
        currency = source.currency or self.currency
        if currency not in {self.currency, *self.exchange_rates}:
            raise ConfigError(
                f"company.exchange_rates: no rate from {currency} (source {source.name}) to {self.currency}. "
                f"Add `{currency}: <{self.currency} per unit>`."
            )

    def amount(self, price: Column, currency: Column) -> Column:
        """Price in the reporting currency; null if no rate is configured."""
        rates = {self.currency: 1.0, **self.exchange_rates}
        known = F.create_map(*(F.lit(part) for code, rate in rates.items() for part in (code, str(rate))))
        return price.cast("decimal(30,8)") * F.try_element_at(known, currency).cast("decimal(20,8)")


def amounts_of(values: DataFrame, source: Source, entity: str, money: Money) -> dict[str, Column]:
    """Columns to add to typed rows: currency, amounts in the reporting currency, discounts without their sign.

    A currency that the row does not name is that of the source, else the reporting currency. Rows without amounts have none,
    except order lines, which require one.
    """
    delivered = [name for name in money_columns(entity) if name in values.columns]
    if entity not in {*CONVERTED, "order_line"}:
        return {}
    named = F.upper("currency") if "currency" in values.columns else F.lit(None).cast("string")
    currency = F.coalesce(named, F.lit(source.currency or money.currency))
    columns = {}
    if _DISCOUNT in delivered:  # exports write discounts with and without a minus sign
        columns[_DISCOUNT] = F.abs(_DISCOUNT)
    if entity == "order_line":
        return columns | {"currency": currency, "amount": _line_amount(values, currency, money)}
    if not delivered:
        return {"currency": F.lit(None).cast("string")} if "currency" in values.columns else {}
    currency = columns["currency"] = F.when(F.coalesce(*delivered).isNotNull(), currency)
    for ours, theirs in CONVERTED[entity].items():
        if theirs in delivered:
            value = F.abs(theirs) if theirs == _DISCOUNT else F.col(theirs)
            columns[ours] = money.amount(value, currency).try_cast(MONEY)
    return columns


def _line_amount(values: DataFrame, currency: Column, money: Money) -> Column:
    price = money.amount(F.col("unit_price"), currency)
    quantity = F.col("quantity").try_cast("decimal(18,4)")
    amount = F.try_multiply(quantity, price)
    if _DISCOUNT in values.columns:
        discount = F.coalesce(money.amount(F.abs(_DISCOUNT), currency), F.lit(0))
        # The discount of a returned line is given back: both amounts lose their sign alike.
        amount = F.try_subtract(amount, F.when(quantity < 0, -discount).otherwise(discount))
    return amount.try_cast(MONEY)


def money_columns(entity: str) -> list[str]:
    """Columns of an entity with amounts in the record's currency."""
    return [c.name for c in ENTITIES[entity].columns if c.type == MONEY and c.name not in FILLED_BY_CLEAN]


def unconverted(entity: str) -> Column | None:
    """Whether an amount of a row has no exchange rate; None for entities without amounts."""
    if entity == "order_line":
        return F.col("amount").isNull() & F.col("quantity").isNotNull() & F.col("unit_price").isNotNull()
    missing = [F.col(ours).isNull() & F.col(theirs).isNotNull() for ours, theirs in CONVERTED.get(entity, {}).items()]
    return reduce(Column.__or__, missing) if missing else None
