"""Check whether the wording of a churn reason is true for a customer (for example "few orders so far")."""

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.features import CHURN_REASONS

LOW_VALUE = ("num_orders", "monetary", "monetary_recent", "num_products", "num_web_events_recent")
"""Reasons that claim a low value: at most the median and below the maximum."""
HIGH_VALUE = ("recency_days", "return_fraction")
"""Reasons that claim a high value: at least the median and above the minimum."""
NEGATIVE_VALUE = ("mean_satisfaction", "last_satisfaction")
"""Reasons that claim dissatisfaction: below zero."""
ZERO_VALUE = ("num_orders_recent", "num_campaign_responses")
"""Reasons that claim a value of zero."""
POSITIVE_VALUE = (
    "num_returns",
    "num_tickets",
    "num_tickets_recent",
    "num_campaign_contacts",
    "num_feedback",
    "return_fraction",
)
"""Reasons that claim a value above zero."""
OVERDUE = "lateness"
"""Reason that claims an overdue order: more days since the last order than usually between orders."""
PRECONDITION = {"num_campaign_responses": "num_campaign_contacts"}
"""Reason -> feature that must be positive: only a customer who was contacted can fail to respond."""
_PRECISION = 0.001


def reason_is_true(
    customers: DataFrame, features: Sequence[str], conditions: Mapping[str, str] | None = None
) -> list[Column]:
    """Return for each feature whether its reason is true; false where the value is unknown (NaN).

    Args:
        customers: the customers whose values are compared; computes quantiles of some features.
        features: names of the features, columns of type double.
        conditions: declared feature -> low, high, zero or positive. Other declared features are never given as a reason.
    """
    known = dict.fromkeys(LOW_VALUE, "low") | dict.fromkeys(HIGH_VALUE, "high") | dict(conditions or {})
    compared = [name for name, when in known.items() if when in ("low", "high")]
    quantiles = dict(zip(compared, customers.approxQuantile(compared, [0.0, 0.5, 1.0], _PRECISION)))
    declared = dict(conditions or {})
    ours = {*CHURN_REASONS, *declared}
    return [
        _is_true(name, quantiles.get(name) or [], declared.get(name)) if name in ours else F.lit(False)
        for name in features
    ]


def _is_true(name: str, quantiles: list[float], declared: str | None) -> Column:
    value = F.col(name)
    conditions = [~F.isnan(value)]
    if name in (*LOW_VALUE, *HIGH_VALUE) or declared in ("low", "high"):
        minimum, median, maximum = quantiles or (0.0, 0.0, 0.0)
        is_low = (value <= median) & (value < maximum)
        conditions.append(is_low if name in LOW_VALUE or declared == "low" else (value >= median) & (value > minimum))
    if name in NEGATIVE_VALUE:
        conditions.append(value < 0)
    if name in ZERO_VALUE or declared == "zero":
        conditions.append(value == 0)
    if name in POSITIVE_VALUE or declared == "positive":
        conditions.append(value > 0)
    if name == OVERDUE:
        conditions.append(value > 1)
    if name in PRECONDITION:
        needed = F.col(PRECONDITION[name])
        conditions.append(~F.isnan(needed) & (needed > 0))
    result = conditions[0]
    for condition in conditions[1:]:
        result = result & condition
    return F.coalesce(result, F.lit(False))
