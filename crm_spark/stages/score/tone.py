"""How customers and products sound, month by month."""

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F


def tone_by_month(said: DataFrame, *subject: str) -> DataFrame:
    """Grain: subject x month. Number of texts, mean tone, its standard error, and the change from the month before.

    Args:
        said: the columns of the subject, written_on (not null) and tone, a row for each text.
        subject: what is followed over time.
    """
    month = F.trunc("written_on", "month").alias("month")
    found = said.groupBy(*subject, month).agg(
        F.count(F.lit(1)).alias("num_texts"),
        F.round(F.mean("tone"), 6).alias("mean_tone"),
        F.round(F.stddev_samp("tone") / F.sqrt(F.count(F.lit(1))), 6).alias("standard_error"),
    )
    before = F.lag("mean_tone").over(Window.partitionBy(*subject).orderBy("month"))
    return found.withColumn("change", F.round(F.col("mean_tone") - before, 6))
