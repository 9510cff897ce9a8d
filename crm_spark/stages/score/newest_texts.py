"""Which texts are read first where not all can be: the newest."""

from datetime import date

from pyspark.sql import DataFrame, Window
from pyspark.sql import functions as F

_NO_DAY = date(1000, 1, 1)


def newest_of(texts: DataFrame, num_texts: int) -> DataFrame:
    """So many of the texts, newest days first, what has no day last; the same ones whatever their order.

    No sort of all: whole days are taken while they fit, and of the day that does not fit whole the first by hash.

    Args:
        texts: text_hash, written_on.
        num_texts: at most.
    """
    day = F.coalesce("written_on", F.lit(_NO_DAY))
    sizes = {row["day"]: row["count"] for row in texts.groupBy(day.alias("day")).count().collect()}
    whole, room, cut = [], num_texts, None
    for each in sorted(sizes, reverse=True):
        if sizes[each] > room:
            cut = each
            break
        whole.append(each)
        room -= sizes[each]
    # Days follow one another: all from the last whole one on.
    taken = texts.where(day >= F.lit(whole[-1])) if whole else texts.limit(0)
    if cut is None or room == 0:
        return taken
    order = Window.partitionBy("written_on").orderBy("text_hash")
    first = texts.where(day == F.lit(cut)).withColumn("_rank", F.row_number().over(order))
    return taken.unionByName(first.where(F.col("_rank") <= room).drop("_rank"))
