"""Value: the revenue expected from a customer within the next horizon."""

from collections.abc import Mapping
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from xgboost.spark import SparkXGBRegressor, SparkXGBRegressorModel

from crm_spark.contracts.scores import LIFETIME_VALUE
from crm_spark.core.context import lacking
from crm_spark.core.ordering import with_position
from crm_spark.customers.business import ChurnKind
from crm_spark.models.metrics import Measure
from crm_spark.stages.predict.config import PredictConfig
from crm_spark.stages.predict.prediction import Evaluation, Prediction
from crm_spark.stages.predict.trees import MODEL, tree_settings


def _labels(churn: ChurnKind) -> list[Column]:
    """`revenue`: revenue within the horizon; null if unknown."""
    return [F.col("monetary_recent").alias("revenue")]


def _fit(examples: DataFrame, cfg: PredictConfig, seed: int) -> Any:
    """Fit a regressor of revenue with Tweedie loss, which suits many zeros and few large values."""
    return SparkXGBRegressor(
        label_col="revenue",
        prediction_col="expected_revenue",
        objective="reg:tweedie",
        tweedie_variance_power=1.5,
        **tree_settings(examples, cfg, seed=seed),
    ).fit(_with_known_revenue(examples))


def _with_known_revenue(examples: DataFrame) -> DataFrame:
    return examples.where(F.col("revenue").isNotNull())


def _lack(train: DataFrame, cfg: PredictConfig) -> str:
    """Return what is missing: revenue that is known for enough customers, and not 0 for all of them."""
    row = train.agg(F.count("revenue"), F.sum("revenue")).first()
    assert row is not None
    if row[0] < cfg.min_customers:
        return lacking(f"at least {cfg.min_customers} customers whose orders have known amounts", row[0])
    return "" if row[1] > 0 else "needs revenue in the training period; all amounts are 0"


def _score(model: Any, customers: DataFrame, conditions: Mapping[str, str]) -> DataFrame:
    scored: DataFrame = model.transform(customers)
    return scored


def _rows(scored: DataFrame, cfg: PredictConfig) -> DataFrame:
    rounded = scored.withColumn("expected_revenue", F.col("expected_revenue").cast("decimal(18,4)"))
    return with_value_band(rounded.select("customer_id", "as_of", "expected_revenue"), "expected_revenue")


def with_value_band(customers: DataFrame, column: str) -> DataFrame:
    """Add the value band: high for the top 10%, medium for the next 40%, low for the rest."""
    # Ties by customer id keep the band sizes exact.
    ordered, num_rows = with_position(customers, [F.col(column).desc(), "customer_id"], "_position")
    rank = F.col("_position") / F.lit(max(num_rows, 1))
    band = F.when(rank < 0.1, "high").when(rank < 0.5, "medium").otherwise("low")
    return ordered.withColumn("value_band", band).drop("_position")


def _measures(evaluation: Evaluation) -> list[Measure]:
    return value_measures(_with_known_revenue(evaluation.scored), currency=evaluation.currency, model=MODEL)


def value_measures(scored: DataFrame, *, currency: str, model: str) -> list[Measure]:
    """Return the mean absolute error and the revenue share of the top predicted 10% of customers.

    Args:
        scored: revenue (actual), expected_revenue, monetary_recent (baseline: revenue of the previous period).
        currency: of the amounts.
        model: name of the model.
    """
    num_rows = scored.count()
    # Baseline: a customer whose previous revenue is unknown (NaN) counts as one without revenue.
    scored = scored.withColumn("monetary_recent", F.nanvl("monetary_recent", F.lit(0.0)))
    measures = []
    for name, column, is_baseline in ((model, "expected_revenue", False), ("last_value", "monetary_recent", True)):
        row = scored.agg(F.avg(F.abs(F.col(column) - F.col("revenue"))), F.avg("revenue")).first()
        assert row is not None
        share = revenue_of_top(scored, column, fraction=0.1)
        measures.append(Measure("value_mean_absolute_error", name, row[0], currency, num_rows, is_baseline=is_baseline))
        measures.append(Measure("value_top_tenth_share", name, share, "fraction", num_rows, is_baseline=is_baseline))
    return measures


def revenue_of_top(scored: DataFrame, column: str, *, fraction: float) -> float | None:
    """Return the revenue share of the customers ranked highest by `column`, ties by customer id; None without revenue."""
    num_top = max(1, int(scored.count() * fraction))
    top = scored.orderBy(F.col(column).desc(), "customer_id").limit(num_top).agg(F.sum("revenue")).first()
    total = scored.agg(F.sum("revenue")).first()
    assert top is not None and total is not None
    return float(top[0]) / float(total[0]) if total[0] else None


def _loss() -> Column:
    """Absolute error in the reporting currency."""
    return F.abs(F.col("expected_revenue") - F.col("revenue"))


PREDICTION = Prediction(
    *("value", LIFETIME_VALUE, MODEL, _labels, _fit, _score, _rows, _measures, _lack),
    load=SparkXGBRegressorModel.load,
    loss=_loss,
)
