"""Fits the factors of the products, or keeps those in use as long as their policy allows."""

import math
from dataclasses import dataclass
from datetime import date

import pyspark
from pyspark.sql import DataFrame

from crm_spark.core.context import JobContext
from crm_spark.models.fitted import save_fitted, settings_digest, usable_fitted, version_of
from crm_spark.models.retrain import Changes, Losses, reason_to_retrain
from crm_spark.stages.recommend.factors import ItemFactors, fit_item_factors
from crm_spark.stages.recommend.models import als_offers, hit_rate

_NAME = "recommendations"
SERVING, EVALUATED = "serving", "evaluated"
"""Parts: the factors that recommend, fitted on all purchases, and those that are evaluated, which do not know the last horizon."""


@dataclass(frozen=True)
class FittedRecommender:
    """Factors that are ready to recommend.

    Attributes:
        serving: factors of the products.
        version: their version.
        hit_rate: on the last horizon; None if no customer bought a new product.
        num_customers: customers who did.
        note: for the log, with a leading `; `; empty if the factors were fitted in this run for lack of earlier ones.
    """

    serving: ItemFactors
    version: str
    hit_rate: float | None
    num_customers: int
    note: str = ""


def fit_or_keep(ctx: JobContext, before: DataFrame, history: DataFrame, new_purchases: DataFrame) -> FittedRecommender:
    """Return the factors in use, or new ones if there are none or their policy asks for them.

    Args:
        ctx: context of the stage.
        before: purchases (customer_id, product, times) before the last horizon.
        history: all purchases.
        new_purchases: customer_id and product of first-time purchases in the last horizon.
    """
    cfg, note = ctx.settings.recommend, ""
    settings, num_pairs = _settings_digest(ctx), history.count()
    if (model := usable_fitted(ctx, _NAME, settings)) is not None:
        evaluated = ItemFactors.load(model.folder / EVALUATED)
        rate, num_customers = hit_rate(als_offers(before, evaluated, cfg), new_purchases)
        card = model.card
        former = Losses(**card["loss"]) if card["loss"] else None
        age_days = (ctx.as_of - date.fromisoformat(card["as_of"])).days
        num_new = max(0, num_pairs - card["num_examples"])
        changes = Changes(card["num_examples"], num_new, age_days, former, _losses(rate, num_customers))
        reason = reason_to_retrain(cfg.retrain, changes, examples="purchases", loss="hit rate")
        if not reason:
            serving = ItemFactors.load(model.folder / SERVING)
            return FittedRecommender(serving, model.version, rate, num_customers, f"; ALS model of {card['as_of']}")
        note = f"; ALS fitted again: {reason}"
    evaluated = fit_item_factors(before, cfg, seed=ctx.seed)
    rate, num_customers = hit_rate(als_offers(before, evaluated, cfg), new_purchases)
    serving = fit_item_factors(history, cfg, seed=ctx.seed)
    losses = _losses(rate, num_customers)
    save_fitted(
        ctx,
        _NAME,
        parts={EVALUATED: evaluated.save, SERVING: serving.save},
        settings=settings,
        card={"model": "als", "num_examples": num_pairs, "loss": vars(losses) if losses else None},
    )
    return FittedRecommender(serving, version_of(ctx), rate, num_customers, note)


def _losses(rate: float | None, num_customers: int) -> Losses | None:
    """Return the negative hit rate, with the deviation of a fraction."""
    return None if rate is None else Losses(-rate, math.sqrt(rate * (1 - rate)), num_customers)


def _settings_digest(ctx: JobContext) -> str:
    """Digest of what the factors depend on besides the purchases."""
    settings = ctx.settings.recommend.model_dump(mode="json", exclude={"retrain"})
    company = ctx.settings.company.model_dump(mode="json", include={"time_zone", "horizon_days"})
    return settings_digest(ctx, {"recommend": settings, "company": company}, library=pyspark.__version__)
