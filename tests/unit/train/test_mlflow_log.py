"""Training runs in an MLflow store, and the error without MLflow."""

import sys

import pytest

from crm_spark.core.errors import ConfigError
from crm_spark.stages.train.mlflow_log import EXPERIMENT, log_training

FIGURES = {"accuracy": 0.8, "macro_f1": 0.7, "cross_entropy_bits": 0.5, "calibration_error": 0.02}
RESULT = {
    "encoder": "embedded",
    "test": {"bert": FIGURES, "class_prior": {**FIGURES, "cross_entropy_bits": 1.2}},
    "training": {
        "config": {"learning_rate": 1e-4, "num_epochs": 2},
        "seed": 3,
        "ranks": 2,
        "curve": [[10, 1.0], [20, 0.8]],
        "validation_bits": [0.7, 0.6],
    },
}


def test_missing_mlflow_is_reported_with_advice(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match=r"train\.mlflow: MLflow is not installed"):
        log_training(str(tmp_path), RESULT, tmp_path, version="v1", is_promoted=True)


def test_settings_metrics_and_files_are_logged(tmp_path):
    mlflow = pytest.importorskip("mlflow", reason="MLflow is optional: pip install mlflow-skinny")
    model = tmp_path / "model"
    model.mkdir()
    (model / "card.json").write_text("{}")
    store = (tmp_path / "runs").as_uri()
    log_training(store, RESULT, model, version="abcd", is_promoted=False)
    client = mlflow.MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name(EXPERIMENT).experiment_id])
    assert run.info.run_name == "abcd" and run.data.tags["is_promoted"] == "False"
    assert run.data.params["learning_rate"] == "0.0001" and run.data.params["seed"] == "3"
    assert run.data.metrics["test.macro_f1"] == 0.7 and run.data.metrics["test_class_prior.cross_entropy_bits"] == 1.2
    bits = client.get_metric_history(run.info.run_id, "validation.bits")
    assert sorted((each.step, each.value) for each in bits) == [(1, 0.7), (2, 0.6)]
    assert [each.path for each in client.list_artifacts(run.info.run_id, "model")] == ["model/card.json"]
