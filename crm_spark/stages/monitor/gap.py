"""Information gap: cross-entropy in bits between predicted and actual feedback."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.models.metrics import Measure
from crm_spark.text.labels import LABELS

MODEL, BASELINE = "text_model", "class_prior"
_FLOOR = 1e-6


def gap_measures(predictions: DataFrame, *, dimension: str) -> list[Measure]:
    """Return the mean bits per text of each slice, for the text model and the class prior.

    Args:
        predictions: label, p_<label> for each label, share_<label> (class prior), and the dimension as `slice`.
        dimension: dimension of `slice`: source, segment ...; `all` for no slicing.
    """
    clipped = {prefix: _probability_of_label(prefix) for prefix in ("p", "share")}
    bits = predictions.groupBy("slice").agg(
        F.count(F.lit(1)).alias("n"), *(F.avg(-F.log2(column)).alias(prefix) for prefix, column in clipped.items())
    )
    measures = []
    for row in bits.where("slice IS NOT NULL").collect():
        name = "all" if dimension == "all" else f"{dimension}={row['slice']}"
        measures.append(Measure("information_gap", MODEL, row["p"], "bits", row["n"], slice=name))
        measures.append(
            Measure("information_gap", BASELINE, row["share"], "bits", row["n"], slice=name, is_baseline=True)
        )
    return measures


def _probability_of_label(prefix: str) -> Column:
    """Return the predicted probability of the actual label."""
    value = F.lit(_FLOOR)
    for label in LABELS:
        value = F.when(F.col("label") == label, F.col(f"{prefix}_{label}")).otherwise(value)
    return F.greatest(value, F.lit(_FLOOR))


def with_class_prior(predictions: DataFrame) -> DataFrame:
    """Grain unchanged; adds the class prior as share_<label>: the frequency of each label in the evaluated texts."""
    total = predictions.agg(
        *(F.avg((F.col("label") == label).cast("double")).alias(f"share_{label}") for label in LABELS)
    )
    return predictions.crossJoin(F.broadcast(total))
