"""Log a training run to MLflow: settings, metrics, model files."""

import os
from pathlib import Path
from typing import Any

from crm_spark.core.errors import ConfigError
from crm_spark.stages.train.config import MODEL

EXPERIMENT = "crm_spark"


def log_training(uri: str, result: dict[str, Any], model: Path, *, version: str, is_promoted: bool) -> None:
    """Log a run named after the model version.

    Args:
        uri: MLflow tracking URI: folder, database or server.
        result: content of result.json.
        model: folder of the model.
        version: of the model.
        is_promoted: whether the model was promoted to production.

    Raises:
        ConfigError: MLflow is not installed.
    """
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # no usage reports
    os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # allow a folder as tracking URI
    try:
        import mlflow
    except ImportError:
        raise ConfigError(
            "train.mlflow: MLflow is not installed. Run `pip install mlflow-skinny` or set null."
        ) from None
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment(EXPERIMENT)
    with mlflow.start_run(run_name=version):
        training = result["training"]
        mlflow.log_params({name: str(value) for name, value in training["config"].items()})
        mlflow.log_params({"seed": training["seed"], "ranks": training["ranks"], "encoder": result["encoder"]})
        for name, figures in result["test"].items():
            prefix = "test" if name == MODEL else f"test_{name}"
            for figure in ("accuracy", "macro_f1", "cross_entropy_bits", "calibration_error"):
                mlflow.log_metric(f"{prefix}.{figure}", figures[figure])
        for step, bits in training["curve"]:
            mlflow.log_metric("train.bits", bits, step=int(step))
        for epoch, bits in enumerate(training["validation_bits"], start=1):
            mlflow.log_metric("validation.bits", bits, step=epoch)
        mlflow.set_tags({"model": version, "is_promoted": str(is_promoted)})
        mlflow.log_artifacts(str(model), "model")
