"""Evaluation of churn and value predictions against baselines on a held-out snapshot."""

import math

from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.models.metrics import Measure

_FLOOR = 1e-6


def churn_measures(scored: DataFrame, *, base_rate: float, model: str) -> list[Measure]:
    """Return AUC and cross-entropy of the model, AUC of recency, and cross-entropy of the class prior.

    Args:
        scored: has_lapsed, probability, recency_days.
        base_rate: fraction of lapsed customers in the training snapshot (class prior).
        model: name of the model.
    """
    num_rows = scored.count()
    frame = scored.withColumn("recency_days", F.nanvl("recency_days", F.lit(1e9))).cache()
    bits = _mean_bits(F.col("probability"))
    prior = _mean_bits(F.lit(base_rate))
    row = frame.agg(bits.alias("model"), prior.alias("prior"), F.avg("has_lapsed").alias("rate")).first()
    assert row is not None
    measures = [
        Measure("churn_auc", model, auc(frame, "probability"), "fraction", num_rows),
        Measure("churn_auc", "recency", auc(frame, "recency_days"), "fraction", num_rows, is_baseline=True),
        Measure("churn_cross_entropy", model, row["model"], "bits", num_rows),
        Measure("churn_cross_entropy", "class_prior", row["prior"], "bits", num_rows, is_baseline=True),
        Measure("lapsed_fraction", "observed", row["rate"], "fraction", num_rows),
    ]
    frame.unpersist()
    return measures


def auc(frame: DataFrame, score: str) -> float:
    """Return the area under the ROC curve; NaN if there is only one class."""
    outcomes = frame.agg(F.min("has_lapsed"), F.max("has_lapsed")).first()
    if outcomes is None or outcomes[0] == outcomes[1]:
        return math.nan
    evaluator = BinaryClassificationEvaluator(rawPredictionCol=score, labelCol="has_lapsed", metricName="areaUnderROC")
    return float(evaluator.evaluate(frame.withColumn(score, F.col(score).cast("double"))))


def _mean_bits(probability: Column) -> Column:
    clipped = F.greatest(F.least(probability, F.lit(1 - _FLOOR)), F.lit(_FLOOR))
    return F.avg(-F.log2(F.when(F.col("has_lapsed") == 1, clipped).otherwise(1 - clipped)))


def value_measures(scored: DataFrame, *, currency: str, model: str) -> list[Measure]:
    """Return the mean absolute error and the revenue share of the top predicted 10% of customers.

    Args:
        scored: revenue (actual), expected_revenue, monetary_recent (baseline: revenue of the previous period).
        currency: of the amounts.
        model: name of the model.
    """
    num_rows = scored.count()
    measures = []
    for name, column, is_baseline in ((model, "expected_revenue", False), ("last_value", "monetary_recent", True)):
        row = scored.agg(F.avg(F.abs(F.col(column) - F.col("revenue"))), F.avg("revenue")).first()
        assert row is not None
        share = revenue_of_top(scored, column, fraction=0.1)
        measures.append(Measure("value_mean_absolute_error", name, row[0], currency, num_rows, is_baseline=is_baseline))
        measures.append(Measure("value_top_tenth_share", name, share, "fraction", num_rows, is_baseline=is_baseline))
    return measures


def revenue_of_top(scored: DataFrame, column: str, *, fraction: float) -> float:
    """Return the revenue share of the customers ranked highest by `column`; ties by customer id."""
    num_top = max(1, int(scored.count() * fraction))
    top = scored.orderBy(F.col(column).desc(), "customer_id").limit(num_top).agg(F.sum("revenue")).first()
    total = scored.agg(F.sum("revenue")).first()
    assert top is not None and total is not None
    return float(top[0]) / float(total[0]) if total[0] else math.nan
