"""Policy: assign one action with a reason to each customer. Suppression takes precedence over the action order."""

from functools import reduce

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.stages.decide.config import Condition, Strategy

NO_ACTION, NO_RULE, NO_CONSENT = "none", "no_rule_applies", "no_consent"


def holds(condition: Condition) -> Column:
    """Return whether a condition holds; false for unknown facts."""
    fact = F.col(condition.fact)
    if condition.at_least is not None:
        comparison = fact >= F.lit(condition.at_least)
    elif condition.at_most is not None:
        comparison = fact <= F.lit(condition.at_most)
    elif condition.is_one_of is not None:
        comparison = fact.isin(*condition.is_one_of)
    else:
        comparison = fact == F.lit(condition.is_)
    return F.coalesce(comparison, F.lit(False))


def in_holdout(key: Column, action: Column, *, seed: int, fraction: float) -> Column:
    """Return whether a customer is in the hold-out of an action; deterministic by hash."""
    bucket = F.pmod(F.xxhash64(F.lit(seed), action, key), F.lit(1_000_000))
    return bucket < F.lit(int(fraction * 1_000_000))


def decide(facts: DataFrame, strategy: Strategy, *, seed: int) -> DataFrame:
    """Grain: customer_id. action, reason, is_holdout, priority (expected revenue at risk).

    Args:
        facts: customer_id, has_marketing_consent and the columns of `FACTS`.
        strategy: actions and consent rule.
        seed: of the hold-out.
    """
    chosen, reason = F.lit(NO_ACTION), F.lit(NO_RULE)
    for action in reversed(strategy.actions):
        applies = reduce(lambda left, right: left & right, [holds(c) for c in action.when], F.lit(True))
        chosen = F.when(applies, F.lit(action.name)).otherwise(chosen)
        reason = F.when(applies, F.lit(action.reason)).otherwise(reason)
    contacts = [action.name for action in strategy.actions if action.is_contact]
    consent = F.col("has_marketing_consent")
    is_allowed = F.coalesce(consent, F.lit(strategy.require_consent == "not_refused"))
    is_suppressed = F.col("_action").isin(*contacts) & ~is_allowed if contacts else F.lit(False)
    matched = facts.withColumn("_action", chosen).withColumn("_reason", reason)
    revenue_at_risk = F.coalesce("churn_probability", F.lit(0.0)) * F.coalesce(
        F.col("expected_revenue").cast("double"), F.lit(0.0)
    )
    decided = matched.withColumn("action", F.when(is_suppressed, NO_ACTION).otherwise(F.col("_action")))
    is_holdout = in_holdout(F.col("customer_id"), F.col("action"), seed=seed, fraction=strategy.holdout_fraction)
    return decided.select(
        "customer_id",
        "action",
        F.when(is_suppressed, NO_CONSENT).otherwise(F.col("_reason")).alias("reason"),
        ((F.col("action") != NO_ACTION) & is_holdout).cast("int").alias("is_holdout"),
        F.round(revenue_at_risk, 4).alias("priority"),
    )
