"""Policy: assign one action with a reason to each customer. Suppression takes precedence over the action order."""

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.stages.decide.config import Action, Condition, Strategy

NO_ACTION = "none"
NO_RULE, NOT_KNOWN = "no_rule_applies", "not_known"
NO_CONSENT, CONSENT_UNKNOWN = "no_consent", "consent_unknown"
REASONS = (NO_RULE, NOT_KNOWN, NO_CONSENT, CONSENT_UNKNOWN)
"""Reason codes of customers without an action: none is needed, not known, refused consent, required and unknown consent."""
_UNDEFINED_BELOW = {"recency_days": 1, "mean_order_value": 1, "cadence_days": 2, "lateness": 2}
"""Facts that do not exist below a number of orders: they are not unknown, and a condition on them does not hold."""
_PREDICTED = ("churn_probability", "churn_risk", "expected_revenue", "value_band")
"""Facts that do not exist for a customer who cannot be lost, such as one without a purchase."""


def comparison(condition: Condition) -> Column:
    """Return whether a condition holds; null if the fact is unknown, false if it does not exist for the customer."""
    fact = F.col(f"`{condition.fact}`")
    if condition.at_least is not None:
        compared = fact >= F.lit(condition.at_least)
    elif condition.at_most is not None:
        compared = fact <= F.lit(condition.at_most)
    elif condition.is_one_of is not None:
        compared = fact.isin(*condition.is_one_of)
    else:
        compared = fact == F.lit(condition.is_)
    if condition.fact in _PREDICTED:
        return F.when(fact.isNull() & ~F.col("is_predictable"), F.lit(False)).otherwise(compared)
    if (least := _UNDEFINED_BELOW.get(condition.fact)) is None:
        return compared
    return F.when(fact.isNull() & (F.col("num_orders") < least), F.lit(False)).otherwise(compared)


def holds(condition: Condition) -> Column:
    """Return whether a condition holds; false for unknown facts."""
    return F.coalesce(comparison(condition), F.lit(False))


def _applies(action: Action) -> Column:
    """Return whether all conditions of an action hold; null if that depends on unknown facts."""
    return reduce(lambda left, right: left & right, [comparison(c) for c in action.when], F.lit(True))


def in_holdout(key: Column, action: Column, *, seed: int, fraction: float) -> Column:
    """Return whether a customer is in the hold-out of an action; deterministic by hash."""
    bucket = F.pmod(F.xxhash64(F.lit(seed), action, key), F.lit(1_000_000))
    return bucket < F.lit(int(fraction * 1_000_000))


def decide(facts: DataFrame, strategy: Strategy, *, seed: int) -> DataFrame:
    """Grain: customer_id. action, reason, is_holdout, priority (expected revenue at risk; null if unknown).

    Without an action the reason says why, see `REASONS`: none is needed, not known, or not allowed.

    Args:
        facts: customer_id, has_marketing_consent, is_predictable and the columns of `FACTS`.
        strategy: actions and consent rule.
        seed: of the hold-out.
    """
    applies = {action.name: _applies(action) for action in strategy.actions}
    is_open = reduce(lambda left, right: left | right, (a.isNull() for a in applies.values()), F.lit(False))
    chosen, reason = F.lit(NO_ACTION), F.when(is_open, F.lit(NOT_KNOWN)).otherwise(F.lit(NO_RULE))
    for action in reversed(strategy.actions):
        is_first = F.coalesce(applies[action.name], F.lit(False))
        chosen = F.when(is_first, F.lit(action.name)).otherwise(chosen)
        reason = F.when(is_first, F.lit(action.reason)).otherwise(reason)
    contacts = [action.name for action in strategy.actions if action.is_contact]
    consent = F.col("has_marketing_consent")
    is_allowed = F.coalesce(consent, F.lit(strategy.require_consent == "not_refused"))
    is_suppressed = F.col("_action").isin(*contacts) & ~is_allowed if contacts else F.lit(False)
    suppression = F.when(consent.isNull(), CONSENT_UNKNOWN).otherwise(NO_CONSENT)
    matched = facts.withColumn("_action", chosen).withColumn("_reason", reason)
    revenue_at_risk = F.col("churn_probability") * F.col("expected_revenue").cast("double")
    decided = matched.withColumn("action", F.when(is_suppressed, NO_ACTION).otherwise(F.col("_action")))
    is_holdout = in_holdout(F.col("customer_id"), F.col("action"), seed=seed, fraction=strategy.holdout_fraction)
    return decided.select(
        "customer_id",
        "action",
        F.when(is_suppressed, suppression).otherwise(F.col("_reason")).alias("reason"),
        ((F.col("action") != NO_ACTION) & is_holdout).cast("int").alias("is_holdout"),
        F.round(revenue_at_risk, 4).alias("priority"),
    )
