"""How a company does business: what it calls a purchase, and what it loses a customer by."""

from typing import Final, Literal

from pyspark.sql import Column
from pyspark.sql import functions as F

from crm_spark.core.config import Config

ChurnKind = Literal["inactivity", "contract_end", "missed_renewal", "missed_appointment"]
INACTIVITY: Final = "inactivity"
CONTRACT_END: Final = "contract_end"
MISSED_RENEWAL: Final = "missed_renewal"
MISSED_APPOINTMENT: Final = "missed_appointment"
BY_CONTRACT = (CONTRACT_END, MISSED_RENEWAL)
"""Kinds of churn of customers with a contract."""


class BusinessWords(Config):
    """What a company calls its purchases and contracts, in the report and in the names of segments."""

    purchase: str = "order"
    """One purchase: visit, trip, transaction."""
    purchases: str = "orders"
    """Several of them."""
    buy: str = "order"
    """What a customer does, after "will": visit, travel, use the service."""
    buying: str = "ordering"
    """The same after "risk of not": visiting, travelling."""
    bought: str = "ordered"
    """The same in the past, before "again": visited, travelled."""
    buyers: str = "buyers"
    """Those who do: visitors, travellers, users."""
    products: str = "products"
    """What is bought: treatments, courses, tours."""
    contract: str = "contract"
    """What lasts: subscription, membership, policy."""
    contracts: str = "contracts"
    """Several of them."""


ORDERS = BusinessWords()
"""The words of a company that sells by order."""


def is_predictable(churn: ChurnKind) -> Column:
    """Whether a customer can be lost, and so has predictions: a column over `features.customer`.

    With contracts these are the customers with a running one, else those with a purchase. Null if that is unknown.
    """
    return F.col("num_contracts" if churn in BY_CONTRACT else "num_orders") > 0


def has_lapsed(churn: ChurnKind) -> Column:
    """Whether a customer was lost within the horizon before a snapshot: a column over `features.customer`."""
    if churn in BY_CONTRACT:
        return F.coalesce(F.col("num_contracts") == 0, F.lit(True))
    if churn == MISSED_APPOINTMENT:
        has_missed = F.coalesce(F.col("num_missed_recent") > 0, F.lit(False))
        return has_missed & (F.col("num_orders_recent") == 0)
    return F.col("num_orders_recent") == 0
