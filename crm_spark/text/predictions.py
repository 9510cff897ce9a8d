"""Current prediction of a text: of the model in production, or of an earlier one until the text is re-scored."""

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.scores import SCORE_TEXT
from crm_spark.core.tables import TableStore


def current_predictions(tables: TableStore, versions: tuple[str, ...]) -> DataFrame:
    """Grain: text_hash. scores.text of the first version that has scored the text.

    Args:
        tables: tables of the lake.
        versions: model versions in order of precedence, see `registry.serving_order`.
    """
    scores = tables.read(SCORE_TEXT).where(F.col("model_version").isin(*versions))
    rank = F.array_position(F.lit(list(versions)), F.col("model_version"))
    others = [name for name in SCORE_TEXT.column_names if name != "text_hash"]
    first = F.min_by(F.struct(*others), rank).alias("first")
    return scores.groupBy("text_hash").agg(first).select("text_hash", "first.*")


def sentiment() -> Column:
    """Return P(recommends) - P(does_not_recommend), from -1 to 1."""
    return F.col("p_recommends") - F.col("p_does_not_recommend")
