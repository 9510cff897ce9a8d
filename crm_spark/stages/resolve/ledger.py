"""The ledger of customer ids: what was created, merged and split, and the links of any past time."""

from datetime import datetime

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F


def events(assigned: DataFrame, ages: DataFrame, pairs: DataFrame) -> DataFrame:
    """What happened to ids. Grain: kind x customer_id x other_customer_id.

    Returns:
        kind, customer_id, other_customer_id, num_records, evidence, as in `gold.identity_event`.

    Args:
        assigned: result of `assign`.
        ages: customer_id, minted_at of all ids that ever were.
        pairs: record_key_l, record_key_r, match_probability of compared pairs.
    """
    current = assigned.select("customer_id").distinct()
    former = assigned.where("former_id IS NOT NULL").select(F.col("former_id").alias("customer_id")).distinct()
    sizes = assigned.groupBy("customer_id").agg(F.count(F.lit(1)).cast("int").alias("num_records"))
    ever = ages.select("customer_id", F.lit(True).alias("_was_used"))
    created = (
        current.join(former, "customer_id", "left_anti").join(sizes, "customer_id").join(ever, "customer_id", "left")
    )
    created = created.select(
        F.when(F.col("_was_used"), "restored").otherwise("minted").alias("kind"),
        "customer_id",
        F.lit(None).cast("string").alias("other_customer_id"),
        "num_records",
        F.lit(None).cast("string").alias("evidence"),
    )
    by_move = assigned.where("former_id <> customer_id").groupBy("customer_id", "former_id")
    moved = by_move.agg(F.count(F.lit(1)).cast("int").alias("num_records"))
    still_used = current.select(F.col("customer_id").alias("former_id"), F.lit(True).alias("_is_used"))
    moved = moved.join(still_used, "former_id", "left").join(
        _evidence(assigned, pairs), ["customer_id", "former_id"], "left"
    )
    changed = moved.select(
        F.when(F.col("_is_used"), "split").otherwise("merged").alias("kind"),
        F.when(F.col("_is_used"), F.col("customer_id")).otherwise(F.col("former_id")).alias("customer_id"),
        F.when(F.col("_is_used"), F.col("former_id")).otherwise(F.col("customer_id")).alias("other_customer_id"),
        "num_records",
        F.when(F.col("_is_used"), F.col("remaining")).otherwise(F.col("joining")).alias("evidence"),
    )
    return created.unionByName(changed)


def _evidence(assigned: DataFrame, pairs: DataFrame) -> DataFrame:
    """Most probable pairs of moved records. Grain: customer_id x former_id.

    `joining`: of a moved record and one that the customer had from elsewhere; `remaining`: of a moved record and one of the same
    former id that another customer has.
    """
    ends = [
        assigned.select(
            F.col("record_key").alias(f"record_key_{end}"),
            F.col("customer_id").alias(f"customer_{end}"),
            F.col("former_id").alias(f"former_{end}"),
        )
        for end in ("l", "r")
    ]
    both = pairs.select("record_key_l", "record_key_r", "match_probability")
    both = both.join(ends[0], "record_key_l").join(ends[1], "record_key_r")
    swapped = both.select(
        F.col("record_key_r").alias("record_key_l"),
        F.col("record_key_l").alias("record_key_r"),
        "match_probability",
        *(
            F.col(f"{name}_{a}").alias(f"{name}_{b}")
            for name in ("customer", "former")
            for a, b in (("r", "l"), ("l", "r"))
        ),
    )
    moved = both.unionByName(swapped).where("former_l <> customer_l")
    is_joining = (F.col("customer_l") == F.col("customer_r")) & ~F.col("former_l").eqNullSafe(F.col("former_r"))
    is_remaining = (F.col("former_l") == F.col("former_r")) & (F.col("customer_l") != F.col("customer_r"))
    grouped = moved.groupBy(F.col("customer_l").alias("customer_id"), F.col("former_l").alias("former_id"))
    return grouped.agg(_strongest(is_joining).alias("joining"), _strongest(is_remaining).alias("remaining"))


def _strongest(is_meant: Column) -> Column:
    words = F.concat(
        F.least("record_key_l", "record_key_r"),
        F.lit(" and "),
        F.greatest("record_key_l", "record_key_r"),
        F.lit(", match probability "),
        F.format_number("match_probability", 3),
    )
    return F.max_by(words, F.when(is_meant, F.struct("match_probability", "record_key_l", "record_key_r")))


def link_changes(assigned: DataFrame) -> DataFrame:
    """Records whose customer changed, and new ones: record_key, customer_id, former_customer_id."""
    changed = assigned.where(~F.col("customer_id").eqNullSafe(F.col("former_id")))
    return changed.select("record_key", "customer_id", F.col("former_id").alias("former_customer_id"))


def minted_at(events: DataFrame) -> DataFrame:
    """First creation of every id, from `gold.identity_event`: customer_id, minted_at (null before the time was written)."""
    created = events.where(F.col("kind") == "minted")
    # An id without a time is older than all with one.
    is_old = F.max(F.col("happened_at").isNull())
    return created.groupBy("customer_id").agg(F.when(~is_old, F.min("happened_at")).alias("minted_at"))


def links_as_of(changes: DataFrame, at: datetime) -> DataFrame:
    """Links at a past time, from `gold.customer_link_change`. Grain: system, person_id. Returns customer_id."""
    before = changes.where(F.col("changed_at") <= F.lit(at))
    newest = F.max_by("customer_id", F.struct("changed_at", "batch_id"))
    return before.groupBy("system", "person_id").agg(newest.alias("customer_id"))


def current_ids(events: DataFrame, links: DataFrame) -> DataFrame:
    """Today's id of every id that ever was: customer_id, current_id.

    An id in use is its own. A merged id is that of its merge, which may have been merged since; a merge that was undone counts no
    longer, so that two ids that were merged into each other in turn are no circle.

    Args:
        events: gold.identity_event.
        links: gold.customer_link.
    """
    order = Window.partitionBy("customer_id").orderBy(F.col("happened_at").desc_nulls_last(), F.col("batch_id").desc())
    newest = events.where("kind IN ('merged', 'restored')").withColumn("_rank", F.row_number().over(order))
    merges = newest.where("_rank = 1 AND kind = 'merged'")
    in_use = links.select(F.col("customer_id").alias("current_id")).distinct().withColumn("_is_used", F.lit(True))
    found = events.select("customer_id").union(links.select("customer_id")).distinct()
    found = found.withColumn("current_id", F.col("customer_id"))
    step = merges.select(F.col("customer_id").alias("current_id"), F.col("other_customer_id").alias("_next"))
    while True:
        open_ids = found.join(in_use, "current_id", "left").join(step, "current_id", "left")
        is_open = F.col("_is_used").isNull() & F.col("_next").isNotNull()
        following = open_ids.withColumn("_is_open", is_open).localCheckpoint()
        following_id = F.when(F.col("_is_open"), F.col("_next")).otherwise(F.col("current_id"))
        found = following.select("customer_id", following_id.alias("current_id"))
        if following.where("_is_open").isEmpty():
            return found
