"""Fits the models of a prediction, or keeps those in use as long as their policy allows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

import xgboost
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.core.context import JobContext
from crm_spark.features.declarations import DeclaredFeatures
from crm_spark.models.fitted import loaded, save_fitted, settings_digest, spark_part, usable_fitted, version_of
from crm_spark.models.metrics import Measure
from crm_spark.models.retrain import Changes, Losses, reason_to_retrain
from crm_spark.stages.predict.prediction import Evaluation, Prediction

SERVING, EVALUATED = "serving", "evaluated"
"""Parts of a fitted prediction: the model that scores customers, fitted on two snapshots, and the one that is evaluated, which
has not seen the outcomes of the second."""


@dataclass(frozen=True)
class FittedPrediction:
    """A prediction that is ready to score.

    Attributes:
        serving: fitted model that scores the newest snapshot.
        version: its version.
        measures: metrics on the test snapshot of the day.
        note: for the log; empty if the models were fitted in this run for lack of earlier ones.
    """

    serving: Any
    version: str
    measures: list[Measure]
    note: str = ""


def fit_or_keep(
    ctx: JobContext, prediction: Prediction, train: DataFrame, test: DataFrame, declared: DeclaredFeatures
) -> FittedPrediction:
    """Return the models in use, or new ones if there are none or their policy asks for them.

    Args:
        ctx: context of the stage.
        prediction: what to predict.
        train: examples of the earlier snapshot, cached.
        test: examples of the later snapshot, cached.
        declared: the declared features among the inputs.
    """
    note = ""
    settings, conditions = _settings_digest(ctx, declared), declared.reason_conditions
    num_examples = train.count() + test.count()
    if prediction.load and (model := usable_fitted(ctx, prediction.name, settings)) is not None:
        load, paths = prediction.load, (model.uri(ctx, EVALUATED), model.uri(ctx, SERVING))
        if (both := loaded(ctx, prediction.name, lambda: tuple(map(load, paths)))) is not None:
            losses, measures = _evaluate(ctx, prediction, both[0], train, test, conditions)
            card = model.card
            former = Losses(**card["loss"]) if card["loss"] else None
            age_days = (ctx.as_of - date.fromisoformat(card["as_of"])).days
            num_new = max(0, num_examples - card["num_examples"])
            changes = Changes(card["num_examples"], num_new, age_days, former, losses)
            note = reason_to_retrain(ctx.settings.predict.retrain, changes, examples="examples")
            if not note:
                return FittedPrediction(both[1], model.version, measures, f"model of {card['as_of']}")
            note = f"fitted again: {note}"
    evaluated = prediction.fit(train, ctx.settings.predict, ctx.seed)
    losses, measures = _evaluate(ctx, prediction, evaluated, train, test, conditions)
    serving = prediction.fit(train.unionByName(test), ctx.settings.predict, ctx.seed)
    if prediction.load:
        save_fitted(
            ctx,
            prediction.name,
            parts={EVALUATED: spark_part(ctx, evaluated), SERVING: spark_part(ctx, serving)},
            settings=settings,
            card={
                "model": prediction.model,
                "num_examples": num_examples,
                "loss": vars(losses) if losses else None,
            },
        )
    return FittedPrediction(serving, version_of(ctx), measures, note)


def _settings_digest(ctx: JobContext, declared: DeclaredFeatures) -> str:
    """Digest of what the models depend on besides their examples."""
    settings = ctx.settings.predict.model_dump(mode="json", exclude={"retrain", "medium_risk", "high_risk"})
    company = ctx.settings.company.model_dump(mode="json", exclude={"name"})
    return settings_digest(
        ctx, {"predict": settings, "company": company, **declared.meaning}, library=xgboost.__version__
    )


def _evaluate(
    ctx: JobContext,
    prediction: Prediction,
    model: Any,
    train: DataFrame,
    test: DataFrame,
    conditions: Mapping[str, str],
) -> tuple[Losses | None, list[Measure]]:
    scored = prediction.score(model, test, conditions).persist(StorageLevel.MEMORY_AND_DISK)
    losses = None if prediction.loss is None else _losses(scored, prediction.loss())
    measures = prediction.measures(Evaluation(scored, train, ctx.settings.company.currency))
    scored.unpersist()
    return losses, measures


def _losses(scored: DataFrame, loss: Column) -> Losses | None:
    row = scored.agg(F.avg(loss), F.stddev_samp(loss), F.count(loss)).first()
    return None if row is None or row[1] is None else Losses(float(row[0]), float(row[1]), int(row[2]))
