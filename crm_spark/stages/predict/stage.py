"""Predict stage: scores.churn and scores.lifetime_value from customer features.

Models are fitted on one snapshot, evaluated on the next, and applied to the newest; they are kept until their policy asks
for new ones. To add a prediction, write a module with a PREDICTION and list it in PREDICTIONS.
"""

from collections.abc import Mapping
from datetime import date, timedelta
from functools import partial

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.features import FEATURE_CUSTOMER
from crm_spark.core.context import JobContext, StageResult, skipped
from crm_spark.core.stage import Stage
from crm_spark.features.columns import with_declared
from crm_spark.features.declarations import features_of
from crm_spark.models.metrics import Measure, is_finite, record
from crm_spark.stages.predict import churn, value
from crm_spark.stages.predict.config import PredictConfig
from crm_spark.stages.predict.examples import labelled, predictable
from crm_spark.stages.predict.fitting import FittedPrediction, fit_or_keep
from crm_spark.stages.predict.outcomes import missing_outcomes
from crm_spark.stages.predict.prediction import Prediction

INPUTS = (FEATURE_CUSTOMER,)
PREDICTIONS = (churn.PREDICTION, value.PREDICTION)


def run(ctx: JobContext) -> StageResult:
    """Predict churn and lifetime value of every customer who can be lost."""
    cfg: PredictConfig = ctx.settings.predict
    company = ctx.settings.company
    churn_kind = company.churn
    # Use snapshots exactly one horizon apart; others, from earlier refreshes, would leak the outcome.
    newest, middle, oldest = days = [ctx.as_of - i * timedelta(days=company.horizon_days) for i in range(3)]
    features = ctx.tables.read(FEATURE_CUSTOMER).where(F.col("as_of").isin(*days))
    if missing := _missing_snapshots(ctx, features, days):
        return skipped(missing)
    declared = features_of(ctx)
    names, conditions = declared.names, declared.reason_conditions
    features = with_declared(features, names).persist(StorageLevel.MEMORY_AND_DISK)
    labels = [label for prediction in PREDICTIONS for label in prediction.labels(churn_kind)]
    examples = partial(labelled, features, labels, declared=names, churn=churn_kind)
    train = examples(features_on=oldest, outcome_on=middle).persist(StorageLevel.MEMORY_AND_DISK)
    if missing := missing_outcomes(train, cfg.min_customers, days, churn_kind, company.words):
        return skipped(missing)
    test = examples(features_on=middle, outcome_on=newest).persist(StorageLevel.MEMORY_AND_DISK)
    lacks = {prediction.name: prediction.lack(train, cfg) for prediction in PREDICTIONS}
    possible = [prediction for prediction in PREDICTIONS if not lacks[prediction.name]]
    customers = predictable(features, newest, names, churn=churn_kind).persist(StorageLevel.MEMORY_AND_DISK)
    fitted = {prediction.name: fit_or_keep(ctx, prediction, train, test, declared) for prediction in possible}
    num_rows = [_write_scores(ctx, each, fitted[each.name], customers, conditions) for each in possible]
    measures = [measure for each in fitted.values() for measure in each.measures]
    record(ctx, "predict", measures)
    notes = [
        _quality(measures, middle),
        *(f"{name} {lack}" for name, lack in lacks.items() if lack),
        *(f"{name} {each.note}" for name, each in fitted.items() if each.note),
    ]
    return StageResult(num_rows[0], note="; ".join(notes))


def _missing_snapshots(ctx: JobContext, features: DataFrame, days: list[date]) -> str:
    """Return what is missing in one sentence; empty if there are customers in all three snapshots."""
    num_snapshots = ctx.settings.featurise.num_snapshots
    if num_snapshots < len(days):
        return f"needs {len(days)} snapshots; featurise.num_snapshots is {num_snapshots}"
    if features.select("as_of").distinct().count() == len(days):
        return ""
    horizon_days = ctx.settings.company.horizon_days
    return f"needs customers known by {days[-1]}, two horizons of {horizon_days} days before {days[0]}; there are none"


def _quality(measures: list[Measure], tested_on: date) -> str:
    auc = next((m.value for m in measures if (m.metric, m.model) == ("churn_auc", churn.PREDICTION.model)), None)
    if not is_finite(auc):
        return f"churn AUC unknown: all customers of the test snapshot {tested_on} had the same outcome"
    return f"churn AUC {auc:.3f} on the test snapshot {tested_on}"


def _write_scores(
    ctx: JobContext,
    prediction: Prediction,
    model: FittedPrediction,
    customers: DataFrame,
    conditions: Mapping[str, str],
) -> int:
    """Score the newest snapshot."""
    rows = prediction.rows(prediction.score(model.serving, customers, conditions), ctx.settings.predict)
    result = ctx.tables.replace(
        prediction.table,
        rows.withColumn("model", F.lit(f"{prediction.model}:{model.version}")),
        batch_id=ctx.batch_id(prediction.name),
        digest=ctx.fingerprint,
        where={"as_of": str(ctx.as_of)},
        is_unique=True,
    )
    return result.num_rows


STAGE = Stage("predict", run, reads=INPUTS, fits_model=True, builds_on=("featurise",))
