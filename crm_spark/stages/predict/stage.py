"""Predict stage: scores.churn and scores.lifetime_value from customer features.

The models are trained on one snapshot, evaluated on the next, and applied to the newest.
"""

from datetime import date, timedelta

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

from crm_spark.contracts.features import FEATURE_CUSTOMER
from crm_spark.contracts.scores import CHURN, LIFETIME_VALUE
from crm_spark.core.context import JobContext, StageResult, skipped
from crm_spark.core.stage import Stage
from crm_spark.models.metrics import Measure, record
from crm_spark.stages.predict.config import PredictConfig
from crm_spark.stages.predict.evaluation import churn_measures, value_measures
from crm_spark.stages.predict.examples import buyers, labelled
from crm_spark.stages.predict.models import fit_churn, fit_value, score_churn

INPUTS = (FEATURE_CUSTOMER,)
MODEL = "xgboost"


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
    train = labelled(features, features_on=oldest, outcome_on=middle).persist(StorageLevel.MEMORY_AND_DISK)
    num_train, num_lapsed = _size(train)
    if num_train < cfg.min_customers or num_lapsed in (0, num_train):
        return skipped(
            f"too few training examples: {num_train} customers with orders by {oldest}, {num_lapsed} of them lapsed"
        )
    test = labelled(features, features_on=middle, outcome_on=newest).persist(StorageLevel.MEMORY_AND_DISK)
    measures = _evaluate(ctx, train, test, base_rate=num_lapsed / num_train)
    both = train.unionByName(test)
    customers = buyers(features, newest).persist(StorageLevel.MEMORY_AND_DISK)
    num_rows = _write_scores(ctx, both, customers, day=newest)
    record(ctx, "predict", measures)
    values = {m.metric: m.value for m in measures if m.model == MODEL}
    return StageResult(
        num_rows, note=f"churn AUC {values.get('churn_auc', float('nan')):.3f} on the test snapshot {middle}"
    )


def _size(examples: DataFrame) -> tuple[int, int]:
    row = examples.agg(F.count(F.lit(1)), F.coalesce(F.sum("has_lapsed"), F.lit(0))).first()
    assert row is not None
    return int(row[0]), int(row[1])


def _evaluate(ctx: JobContext, train: DataFrame, test: DataFrame, *, base_rate: float) -> list[Measure]:
    cfg: PredictConfig = ctx.settings.predict
    churn = score_churn(fit_churn(train, cfg, seed=ctx.seed), test).cache()
    value = fit_value(train, cfg, seed=ctx.seed).transform(test).cache()
    measures = churn_measures(churn, base_rate=base_rate, model=MODEL)
    measures += value_measures(value, currency=ctx.settings.company.currency, model=MODEL)
    churn.unpersist()
    value.unpersist()
    return measures


def _write_scores(ctx: JobContext, examples: DataFrame, customers: DataFrame, *, day: date) -> int:
    """Refit on both labelled snapshots and score the newest one."""
    cfg: PredictConfig = ctx.settings.predict
    where, digest = {"as_of": str(day)}, ctx.fingerprint
    model = F.lit(f"{MODEL}:{ctx.fingerprint[:8]}")
    risk = F.when(F.col("probability") >= cfg.high_risk, "high").when(F.col("probability") >= cfg.medium_risk, "medium")
    churn = score_churn(fit_churn(examples, cfg, seed=ctx.seed), customers).select(
        "customer_id", "as_of", "probability", risk.otherwise("low").alias("risk"), "reasons", model.alias("model")
    )
    result = ctx.tables.replace(
        CHURN, churn, batch_id=ctx.batch_id("churn"), digest=digest, where=where, is_unique=True
    )
    value = fit_value(examples, cfg, seed=ctx.seed).transform(customers)
    value = value.withColumn("expected_revenue", F.col("expected_revenue").cast("decimal(18,4)"))
    banded = value.select(
        "customer_id",
        "as_of",
        "expected_revenue",
        value_band("expected_revenue").alias("value_band"),
        model.alias("model"),
    )
    ctx.tables.replace(
        LIFETIME_VALUE, banded, batch_id=ctx.batch_id("value"), digest=digest, where=where, is_unique=True
    )
    return result.num_rows


def value_band(column: str) -> Column:
    """Return the value band: high for the top 10%, medium for the next 40%, low for the rest."""
    # A global order over all customers, with one number per row. Ties by customer id keep the band sizes exact.
    position = F.row_number().over(Window.orderBy(F.col(column).desc(), "customer_id")) - 1
    rank = position / F.count(F.lit(1)).over(Window.partitionBy())
    return F.when(rank < 0.1, "high").when(rank < 0.5, "medium").otherwise("low")


STAGE = Stage("predict", run, reads=INPUTS)
