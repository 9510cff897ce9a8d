"""Settings of boosted trees on Spark, shared by the predictions that use them."""

import logging
from typing import Any

from pyspark.sql import DataFrame

from crm_spark.core.parallelism import num_training_workers
from crm_spark.stages.predict.config import PredictConfig
from crm_spark.stages.predict.examples import inputs_in

MODEL = "xgboost"
"""Name of the model in metrics and scores."""
logging.getLogger("XGBoost-PySpark").setLevel(logging.WARNING)


def tree_settings(examples: DataFrame, cfg: PredictConfig, *, seed: int) -> dict[str, Any]:
    """Arguments of an estimator of `xgboost.spark`."""
    trees = cfg.trees
    return {
        "features_col": list(inputs_in(examples)),
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
