"""The information gap: bits between the feedback customers gave and what the company predicted they would say."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.models.metrics import Measure
from crm_spark.text.labels import LABELS

MODEL, GUESS = "text_model", "class_prior"
_FLOOR = 1e-6


def gap_measures(read: DataFrame, *, dimension: str) -> list[Measure]:
    """Mean bits per text in each value of a dimension, of the model and of one who knows only how often each is said.

    Args:
        read: label, p_<label> for each label, share_<label> (over all texts), and the dimension as `slice`.
        dimension: what `slice` is: source, segment ...; `all` for no slicing.
    """
    clipped = {prefix: _chosen(prefix) for prefix in ("p", "share")}
    bits = read.groupBy("slice").agg(
        F.count(F.lit(1)).alias("n"), *(F.avg(-F.log2(column)).alias(prefix) for prefix, column in clipped.items())
    )
    measures = []
    for row in bits.where("slice IS NOT NULL").collect():
        name = "all" if dimension == "all" else f"{dimension}={row['slice']}"
        measures.append(Measure("information_gap", MODEL, row["p"], "bits", row["n"], slice=name))
        measures.append(Measure("information_gap", GUESS, row["share"], "bits", row["n"], slice=name, is_baseline=True))
    return measures


def _chosen(prefix: str):
    """The probability that was given to the label that came true."""
    value = F.lit(_FLOOR)
    for label in LABELS:
        value = F.when(F.col("label") == label, F.col(f"{prefix}_{label}")).otherwise(value)
    return F.greatest(value, F.lit(_FLOOR))


def with_shares(read: DataFrame) -> DataFrame:
    """Grain as before; adds the overall share of each label, which is all that is known without reading."""
    total = read.agg(*(F.avg((F.col("label") == label).cast("double")).alias(f"share_{label}") for label in LABELS))
    return read.crossJoin(F.broadcast(total))
