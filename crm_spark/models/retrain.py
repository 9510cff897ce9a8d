"""When a fitted model is replaced: it is kept until a policy asks for a new one."""

import math
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from crm_spark.core.config import Config


class RetrainPolicy(Config):
    """When a model is fitted again. `--retrain` does so at once."""

    growth: Annotated[float, Field(ge=0)] = 0.2
    """Number of new training examples, as a fraction of those that the model was fitted on."""
    min_new: Annotated[int, Field(ge=0)] = 100
    """Smallest number of new training examples, for small companies."""
    max_age_days: Annotated[int, Field(ge=1)] | None = 180
    """Age in days from which the model is fitted again on the examples of the day; null: age is no reason."""
    standard_errors: Annotated[float, Field(gt=0)] | None = 4.0
    """By how many standard errors the loss on newer examples may exceed that at the time of fitting; null: not compared."""
    worsening: Annotated[float, Field(ge=0)] = 0.05
    """Fraction by which it may exceed it in any case: with millions of examples, every difference is beyond noise."""
    min_compared: Annotated[int, Field(ge=2)] = 100
    """Smallest number of newer examples on which the loss is compared."""


@dataclass(frozen=True)
class Losses:
    """Mean and standard deviation of the loss (any unit) over `num_rows` examples."""

    mean: float
    deviation: float
    num_rows: int


@dataclass(frozen=True)
class Changes:
    """What happened since a model was fitted.

    Attributes:
        num_fitted: training examples of the model.
        num_new: training examples since then.
        age_days: days since then on the logical calendar.
        former: loss at that time.
        newer: loss on newer examples, which the model has not seen.
    """

    num_fitted: int
    num_new: int
    age_days: int
    former: Losses | None = None
    newer: Losses | None = None


def reason_to_retrain(policy: RetrainPolicy, changes: Changes, *, examples: str, loss: str = "loss") -> str:
    """Why a model is to be fitted again, as a phrase for the log; empty if it is kept.

    Args:
        policy: the policy.
        changes: since the model was fitted.
        examples: what the training examples are called, such as `labelled texts`.
        loss: what the loss is called; a negative one, such as minus a hit rate, is shown without its sign.
    """
    if changes.num_new >= max(policy.min_new, policy.growth * changes.num_fitted):
        return f"{changes.num_new:,} new {examples} beside {changes.num_fitted:,}"
    if policy.max_age_days is not None and changes.age_days >= policy.max_age_days:
        return f"fitted {changes.age_days} days ago"
    if is_worse(policy, changes.former, changes.newer):
        assert changes.former is not None and changes.newer is not None
        newer, former = abs(changes.newer.mean), abs(changes.former.mean)
        return f"{loss} {newer:.3f} on newer {examples}, {former:.3f} when it was fitted"
    return ""


def is_worse(policy: RetrainPolicy, former: Losses | None, newer: Losses | None) -> bool:
    """Whether the newer loss exceeds the former by more than the policy allows (Welch's statistic for the noise)."""
    if policy.standard_errors is None or former is None or newer is None:
        return False
    if min(former.num_rows, newer.num_rows) < policy.min_compared:
        return False
    error = math.sqrt(former.deviation**2 / former.num_rows + newer.deviation**2 / newer.num_rows)
    return newer.mean - former.mean > max(policy.standard_errors * error, policy.worsening * abs(former.mean))
