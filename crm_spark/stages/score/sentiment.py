"""How customers and products sound, month by month."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def sentiment_by_month(said: DataFrame, *subject: str) -> DataFrame:
    """Grain: subject x month. Number of texts, mean sentiment, its standard error, and the change from the month before.

    Args:
        said: the columns of the subject, written_on (not null) and sentiment, a row for each text.
        subject: what is followed over time.
    """
    month = F.trunc("written_on", "month").alias("month")
    found = said.groupBy(*subject, month).agg(
        F.count(F.lit(1)).alias("num_texts"),
        F.round(F.mean("sentiment"), 6).alias("mean_sentiment"),
        F.round(F.stddev_samp("sentiment") / F.sqrt(F.count(F.lit(1))), 6).alias("standard_error"),
    )
    before = F.lag("mean_sentiment").over(Window.partitionBy(*subject).orderBy("month"))
    return found.withColumn("change", F.round(F.col("mean_sentiment") - before, 6))
