"""What a prediction declares: its labels, its model, its metrics and its table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import Column, DataFrame

from crm_spark.core.contract import TableContract
from crm_spark.customers.business import ChurnKind
from crm_spark.models.metrics import Measure
from crm_spark.stages.predict.config import PredictConfig


@dataclass(frozen=True)
class Evaluation:
    """What metrics are computed from.

    Attributes:
        scored: the test examples, with labels and predictions.
        train: the training examples, for baselines such as the class prior.
        currency: reporting currency of the amounts.
    """

    scored: DataFrame
    train: DataFrame
    currency: str


@dataclass(frozen=True)
class Prediction:
    """A prediction about the next horizon of each customer who can be lost, the constant `PREDICTION` of its module.

    Attributes:
        name: name of the batch.
        table: contract of the scores, with the column `model`.
        model: name of the model in scores and metrics.
        labels: columns of the snapshot one horizon later that the model learns, given what the company loses customers by.
        fit: fits the model on examples (inputs and labels).
        score: adds the predictions to customers or examples, given the conditions of declared reasons; grain unchanged.
        rows: scores -> rows of the table, without `model`.
        measures: metrics of the model and of its baselines.
        lack: what the training examples lack for this prediction, such as known revenue; empty if nothing.
        load: loads a fitted model, written by its `write()`, from a URI; None: fitted in every run.
        loss: loss of a scored example, by which a kept model is judged on newer examples.
    """

    name: str
    table: TableContract
    model: str
    labels: Callable[[ChurnKind], list[Column]]
    fit: Callable[[DataFrame, PredictConfig, int], Any]
    score: Callable[[Any, DataFrame, Mapping[str, str]], DataFrame]
    rows: Callable[[DataFrame, PredictConfig], DataFrame]
    measures: Callable[[Evaluation], list[Measure]]
    lack: Callable[[DataFrame, PredictConfig], str] = lambda train, cfg: ""
    load: Callable[[str], Any] | None = None
    loss: Callable[[], Column] | None = None
