"""Predict stage: scores.churn and scores.lifetime_value from customer features.

Models are trained on one snapshot, evaluated on the next, and applied to the newest. To add a prediction, write a module
with a PREDICTION and list it in PREDICTIONS.
"""

from datetime import timedelta

from pyspark import StorageLevel
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.features import FEATURE_CUSTOMER
from crm_spark.core.context import JobContext, StageResult, skipped
from crm_spark.core.stage import Stage
from crm_spark.models.metrics import Measure, record
from crm_spark.stages.predict import churn, value
from crm_spark.stages.predict.config import PredictConfig
from crm_spark.stages.predict.examples import buyers, labelled
from crm_spark.stages.predict.prediction import Evaluation, Prediction

INPUTS = (FEATURE_CUSTOMER,)
PREDICTIONS = (churn.PREDICTION, value.PREDICTION)


def run(ctx: JobContext) -> StageResult:
    """Predict churn and lifetime value of every customer with orders."""
    cfg: PredictConfig = ctx.settings.predict
    # Use snapshots exactly one horizon apart; others, from earlier refreshes, would leak the outcome.
    newest, middle, oldest = days = [
        ctx.as_of - i * timedelta(days=ctx.settings.company.horizon_days) for i in range(3)
    ]
    features = ctx.tables.read(FEATURE_CUSTOMER).where(F.col("as_of").isin(*days))
    if features.select("as_of").distinct().count() < 3:
        return skipped("fewer than three snapshots: the history is shorter than three horizons")
    features = features.persist(StorageLevel.MEMORY_AND_DISK)
    labels = [label for prediction in PREDICTIONS for label in prediction.labels()]
    train = labelled(features, labels, features_on=oldest, outcome_on=middle).persist(StorageLevel.MEMORY_AND_DISK)
    num_train, num_lapsed = _size(train)
    if num_train < cfg.min_customers or num_lapsed in (0, num_train):
        return skipped(
            f"too few training examples: {num_train} customers with orders by {oldest}, {num_lapsed} of them lapsed"
        )
    test = labelled(features, labels, features_on=middle, outcome_on=newest).persist(StorageLevel.MEMORY_AND_DISK)
    measures = [measure for prediction in PREDICTIONS for measure in _evaluate(ctx, prediction, train, test)]
    both = train.unionByName(test)
    customers = buyers(features, newest).persist(StorageLevel.MEMORY_AND_DISK)
    num_rows = [_write_scores(ctx, prediction, both, customers) for prediction in PREDICTIONS]
    record(ctx, "predict", measures)
    values = {m.metric: m.value for m in measures if m.model == churn.PREDICTION.model}
    return StageResult(
        num_rows[0], note=f"churn AUC {values.get('churn_auc', float('nan')):.3f} on the test snapshot {middle}"
    )


def _size(examples: DataFrame) -> tuple[int, int]:
    row = examples.agg(F.count(F.lit(1)), F.coalesce(F.sum("has_lapsed"), F.lit(0))).first()
    assert row is not None
    return int(row[0]), int(row[1])


def _evaluate(ctx: JobContext, prediction: Prediction, train: DataFrame, test: DataFrame) -> list[Measure]:
    model = prediction.fit(train, ctx.settings.predict, ctx.seed)
    scored = prediction.score(model, test).cache()
    measures = prediction.measures(Evaluation(scored, train, ctx.settings.company.currency))
    scored.unpersist()
    return measures


def _write_scores(ctx: JobContext, prediction: Prediction, examples: DataFrame, customers: DataFrame) -> int:
    """Refit on both labelled snapshots and score the newest one."""
    cfg: PredictConfig = ctx.settings.predict
    model = prediction.fit(examples, cfg, ctx.seed)
    rows = prediction.rows(prediction.score(model, customers), cfg)
    result = ctx.tables.replace(
        prediction.table,
        rows.withColumn("model", F.lit(f"{prediction.model}:{ctx.fingerprint[:8]}")),
        batch_id=ctx.batch_id(prediction.name),
        digest=ctx.fingerprint,
        where={"as_of": str(ctx.as_of)},
        is_unique=True,
    )
    return result.num_rows


STAGE = Stage("predict", run, reads=INPUTS)
