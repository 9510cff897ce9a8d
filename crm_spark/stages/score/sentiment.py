"""Monthly sentiment of customers and products."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def sentiment_by_month(texts: DataFrame, *subject: str) -> DataFrame:
    """Grain: subject x month. Number of texts, mean sentiment, standard error, change from the previous month with texts.

    Args:
        texts: subject columns, written_on (not null) and sentiment; one row per text.
        subject: columns to group by.
    """
    month = F.trunc("written_on", "month").alias("month")
    monthly = texts.groupBy(*subject, month).agg(
        F.count(F.lit(1)).alias("num_texts"),
        F.round(F.mean("sentiment"), 6).alias("mean_sentiment"),
        F.round(F.stddev_samp("sentiment") / F.sqrt(F.count(F.lit(1))), 6).alias("standard_error"),
    )
    before = F.lag("mean_sentiment").over(Window.partitionBy(*subject).orderBy("month"))
    return monthly.withColumn("change", F.round(F.col("mean_sentiment") - before, 6))
