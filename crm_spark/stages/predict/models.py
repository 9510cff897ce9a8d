"""Boosted trees on Spark: churn probability with reasons, and expected revenue."""

import logging
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from xgboost.spark import SparkXGBClassifier, SparkXGBRegressor

from crm_spark.core.parallelism import num_training_workers
from crm_spark.stages.predict.config import PredictConfig
from crm_spark.stages.predict.examples import INPUTS

NUM_REASONS = 3
logging.getLogger("XGBoost-PySpark").setLevel(logging.WARNING)


def _trees(examples: DataFrame, cfg: PredictConfig, *, seed: int) -> dict[str, Any]:
    trees = cfg.trees
    return {
        "features_col": list(INPUTS),
        "num_workers": cfg.num_workers or num_training_workers(examples.sparkSession, examples.count()),
        "n_estimators": trees.num_trees,
        "max_depth": trees.max_depth,
        "learning_rate": trees.learning_rate,
        "min_child_weight": trees.min_child_weight,
        "tree_method": "hist",
        "random_state": seed,
        "verbose": False,
        "missing": float("nan"),
    }


def fit_churn(examples: DataFrame, cfg: PredictConfig, *, seed: int) -> Any:
    """Fit a classifier of has_lapsed that also returns SHAP contributions (log-odds) of the features."""
    return SparkXGBClassifier(
        label_col="has_lapsed", pred_contrib_col="contributions", **_trees(examples, cfg, seed=seed)
    ).fit(examples)


def fit_value(examples: DataFrame, cfg: PredictConfig, *, seed: int) -> Any:
    """Fit a regressor of revenue with Tweedie loss, which suits many zeros and few large values."""
    return SparkXGBRegressor(
        label_col="revenue",
        prediction_col="expected_revenue",
        objective="reg:tweedie",
        tweedie_variance_power=1.5,
        **_trees(examples, cfg, seed=seed),
    ).fit(examples)


def score_churn(model: Any, customers: DataFrame) -> DataFrame:
    """Grain unchanged; adds probability and reasons (features that raise it most)."""
    from pyspark.ml.functions import vector_to_array

    scored = model.transform(customers).withColumn("probability", vector_to_array(F.col("probability"))[1])
    return scored.withColumn("reasons", top_reasons(F.col("contributions")[0])).drop("contributions")


def top_reasons(contributions: Column) -> Column:
    """Return the features with the largest positive contributions, strongest first, without the bias term."""
    names = F.array(*(F.lit(name) for name in INPUTS))
    pairs = F.arrays_zip(F.slice(contributions, 1, len(INPUTS)).alias("weight"), names.alias("name"))
    positive = F.filter(pairs, lambda pair: pair["weight"] > 0)
    ordered = F.sort_array(positive, asc=False)
    return F.transform(F.slice(ordered, 1, NUM_REASONS), lambda pair: pair["name"])
