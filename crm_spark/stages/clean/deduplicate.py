"""One row per business key, whatever the order of arrival: latest by the source's own time, then source rank, then hash."""

from collections.abc import Sequence

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

EXACT_DUPLICATE, SUPERSEDED, SAME_KEY = "exact_duplicate", "superseded", "same_key"


def _best_first() -> list[Column]:
    return [
        F.col("updated_at").desc_nulls_last(),
        F.col("_rank").desc(),
        F.col("record_hash").desc(),
        F.col("row_id").asc(),
    ]


def mark_duplicates(
    frame: DataFrame, existing: DataFrame, *, key: tuple[str, ...], compared: Sequence[str] = ()
) -> DataFrame:
    """Grain as `frame`. Adds `_duplicate`: null for the row that stands for its key, else why it does not.

    A row that is set aside stands for nothing and is compared with nothing. `_contradicted` lists, each between commas,
    the columns in which a folded row says something else than the row that stands for it.

    Args:
        frame: typed rows with updated_at, record_hash, row_id, `_rank`, `_is_one_row_per_key`, `_reasons`.
        existing: what silver holds for these keys from other batches: the key, updated_at, record_hash, row_id, `_rank`.
        key: the business key.
        compared: columns in which folded rows of one key should agree.
    """
    columns = list(dict.fromkeys([*key, "updated_at", "_rank", "record_hash", "row_id", *compared]))
    held = existing.select(*columns).withColumn("_is_held", F.lit(True))
    both = frame.withColumn("_is_held", F.lit(False)).unionByName(held, allowMissingColumns=True)
    # Each row that is set aside is a partition of its own: they are many that share a null for a key.
    window = Window.partitionBy(*key, F.when(F.size("_reasons") > 0, F.col("row_id")))
    # Of equal records the one that silver holds already stands.
    ordered = window.orderBy(*_best_first()[:3], F.col("_is_held").desc(), F.col("row_id").asc())
    first = F.first("record_hash").over(ordered)
    is_first = F.row_number().over(ordered) == 1
    why = (
        F.when(F.col("_is_one_row_per_key"), SAME_KEY)
        .when(F.col("record_hash") == first, EXACT_DUPLICATE)
        .otherwise(SUPERSEDED)
    )
    differs = [F.when(~F.col(n).eqNullSafe(F.first(n).over(ordered)), F.lit(n)) for n in compared]
    # An older version may say something else; of two that are equally old only one can be right.
    is_folded = (
        ~is_first & F.col("_is_one_row_per_key") & F.col("updated_at").eqNullSafe(F.first("updated_at").over(ordered))
    )
    contradicted = F.when(is_folded, F.concat(F.lit(","), F.concat_ws(",", *differs), F.lit(",")))
    marked = both.withColumns({"_duplicate": F.when(~is_first, why), "_contradicted": contradicted})
    return marked.where(~F.col("_is_held")).drop("_is_held")
