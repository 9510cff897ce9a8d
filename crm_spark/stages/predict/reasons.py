"""Whether the words of a churn reason hold for a customer: `CHURN_REASONS` says "few orders", not just "orders"."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

LOW = ("num_orders", "monetary", "monetary_recent", "num_products", "num_web_events_recent")
"""Features whose words say that the value is low: not above the median, and below the highest value."""
HIGH = ("recency_days", "return_fraction")
"""Features whose words say that the value is high: not below the median, and above the lowest value."""
NEGATIVE = ("mean_satisfaction", "last_satisfaction")
ZERO = ("num_orders_recent", "num_campaign_responses")
POSITIVE = (
    "num_returns",
    "num_tickets",
    "num_tickets_recent",
    "num_campaign_contacts",
    "num_feedback",
    "return_fraction",
)
OVERDUE = "lateness"
_PRECISION = 0.001


def words_hold(customers: DataFrame, features: tuple[str, ...]) -> list[Column]:
    """Return for each feature whether the words of its reason hold; false where the value is unknown (NaN).

    Args:
        customers: the customers whose values are compared; computes quantiles of some features.
        features: names of the features, columns of type double.
    """
    compared = [*LOW, *HIGH]
    quantiles = dict(zip(compared, customers.approxQuantile(compared, [0.0, 0.5, 1.0], _PRECISION)))
    return [_holds(name, quantiles.get(name) or []) for name in features]


def _holds(name: str, quantiles: list[float]) -> Column:
    value = F.col(name)
    conditions = [~F.isnan(value)]
    if name in (*LOW, *HIGH):
        lowest, median, highest = quantiles or (0.0, 0.0, 0.0)
        is_low = (value <= median) & (value < highest)
        conditions.append(is_low if name in LOW else (value >= median) & (value > lowest))
    if name in NEGATIVE:
        conditions.append(value < 0)
    if name in ZERO:
        conditions.append(value == 0)
    if name in POSITIVE:
        conditions.append(value > 0)
    if name == OVERDUE:
        conditions.append(value > 1)
    result = conditions[0]
    for condition in conditions[1:]:
        result = result & condition
    return F.coalesce(result, F.lit(False))
