"""Churn: the probability that a customer is lost within the next horizon, with the reasons."""

from collections.abc import Mapping, Sequence
from typing import Any

from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from xgboost.spark import SparkXGBClassifier, SparkXGBClassifierModel

from crm_spark.contracts.scores import CHURN
from crm_spark.customers.business import ChurnKind, has_lapsed
from crm_spark.models.metrics import Measure
from crm_spark.stages.predict.config import PredictConfig
from crm_spark.stages.predict.examples import INPUTS, inputs_in
from crm_spark.stages.predict.prediction import Evaluation, Prediction
from crm_spark.stages.predict.reasons import reason_is_true
from crm_spark.stages.predict.trees import MODEL, tree_settings

NUM_REASONS = 3
_FLOOR = 1e-6


def _labels(churn: ChurnKind) -> list[Column]:
    """`has_lapsed`: lost within the horizon, by what the company loses customers by."""
    return [has_lapsed(churn).cast("int").alias("has_lapsed")]


def _fit(examples: DataFrame, cfg: PredictConfig, seed: int) -> Any:
    """Fit a classifier of has_lapsed that also returns SHAP contributions (log-odds) of the features."""
    return SparkXGBClassifier(
        label_col="has_lapsed", pred_contrib_col="contributions", **tree_settings(examples, cfg, seed=seed)
    ).fit(examples)


def _score(model: Any, customers: DataFrame, conditions: Mapping[str, str]) -> DataFrame:
    """Grain unchanged; adds probability and reasons (features that raise it most)."""
    from pyspark.ml.functions import vector_to_array

    scored = model.transform(customers).withColumn("probability", vector_to_array(F.col("probability"))[1])
    names = inputs_in(customers)
    holds = F.array(*reason_is_true(customers, names, conditions))
    reasons = top_reasons(F.col("contributions")[0], holds, names)
    return scored.withColumn("reasons", reasons).drop("contributions")


def top_reasons(contributions: Column, holds: Column | None = None, names: Sequence[str] = INPUTS) -> Column:
    """Return the features with the largest positive contributions, strongest first, without the bias term.

    Args:
        contributions: SHAP contributions of the features, and the bias.
        holds: whether each feature's reason is true for the customer; None: all are.
        names: the features.
    """
    is_true = F.array_repeat(F.lit(True), len(names)) if holds is None else holds
    weights, literals = F.slice(contributions, 1, len(names)), F.array(*(F.lit(name) for name in names))
    pairs = F.arrays_zip(weights.alias("weight"), literals.alias("name"), is_true.alias("holds"))
    positive = F.filter(pairs, lambda pair: (pair["weight"] > 0) & pair["holds"])
    ordered = F.sort_array(positive, asc=False)
    return F.transform(F.slice(ordered, 1, NUM_REASONS), lambda pair: pair["name"])


def _rows(scored: DataFrame, cfg: PredictConfig) -> DataFrame:
    risk = F.when(F.col("probability") >= cfg.high_risk, "high").when(F.col("probability") >= cfg.medium_risk, "medium")
    return scored.select("customer_id", "as_of", "probability", risk.otherwise("low").alias("risk"), "reasons")


def _measures(evaluation: Evaluation) -> list[Measure]:
    prior = evaluation.train.agg(F.avg("has_lapsed")).first()
    assert prior is not None
    return churn_measures(evaluation.scored, base_rate=prior[0], model=MODEL)


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


def auc(frame: DataFrame, score: str) -> float | None:
    """Return the area under the ROC curve; None if there is only one class."""
    outcomes = frame.agg(F.min("has_lapsed"), F.max("has_lapsed")).first()
    if outcomes is None or outcomes[0] == outcomes[1]:
        return None
    evaluator = BinaryClassificationEvaluator(rawPredictionCol=score, labelCol="has_lapsed", metricName="areaUnderROC")
    return float(evaluator.evaluate(frame.withColumn(score, F.col(score).cast("double"))))


def _mean_bits(probability: Column) -> Column:
    return F.avg(_bits(probability))


def _bits(probability: Column) -> Column:
    clipped = F.greatest(F.least(probability, F.lit(1 - _FLOOR)), F.lit(_FLOOR))
    return -F.log2(F.when(F.col("has_lapsed") == 1, clipped).otherwise(1 - clipped))


def _loss() -> Column:
    """Cross-entropy in bits."""
    return _bits(F.col("probability"))


PREDICTION = Prediction(
    *("churn", CHURN, MODEL, _labels, _fit, _score, _rows, _measures), load=SparkXGBClassifierModel.load, loss=_loss
)
