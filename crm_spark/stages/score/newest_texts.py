"""Select the newest texts within a budget."""

from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

_UNDATED = date(1000, 1, 1)


def newest_of(texts: DataFrame, num_texts: int) -> DataFrame:
    """Return the newest texts, undated ones last; deterministic whatever the row order.

    Avoids a global sort: complete days are taken while they fit, and the last day is filled up in hash order.

    Args:
        texts: text_hash, written_on.
        num_texts: maximum number of texts.
    """
    day = F.coalesce("written_on", F.lit(_UNDATED))
    sizes = {row["day"]: row["count"] for row in texts.groupBy(day.alias("day")).count().collect()}
    complete_days, remaining, partial_day = [], num_texts, None
    for each in sorted(sizes, reverse=True):
        if sizes[each] > remaining:
            partial_day = each
            break
        complete_days.append(each)
        remaining -= sizes[each]
    selected = texts.where(day >= F.lit(complete_days[-1])) if complete_days else texts.limit(0)
    if partial_day is None or remaining == 0:
        return selected
    order = Window.partitionBy("written_on").orderBy("text_hash")
    first = texts.where(day == F.lit(partial_day)).withColumn("_rank", F.row_number().over(order))
    return selected.unionByName(first.where(F.col("_rank") <= remaining).drop("_rank"))
