"""Stable customer ids: a cluster keeps the id of its members; only clusters without one get a new id."""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F

MINTED = "customer_id string, minted_at timestamp"


def minted(*parts: str | Column) -> Column:
    """Deterministic customer id, derived from the key of the cluster's first record."""
    return F.concat(F.lit("c"), F.substring(F.sha2(F.concat_ws("|", *parts), 256), 1, 16))


def assign(members: DataFrame, links: DataFrame, ages: DataFrame) -> DataFrame:
    """Assign customer ids to clusters. Grain: record_key. Returns `customer_id`, `former_id` (null if new), `cluster`.

    Each former id goes to the cluster with most of its records, of equals to that with the record it was created for. Of several
    former ids a cluster keeps the oldest, and of equally old ones that with most records. Remaining ties are resolved by the
    smaller id. Clusters without an id get a new one, derived from their first record: a merged id again if a merge is undone.

    Args:
        members: record_key, cluster of every record.
        links: record_key, former_id of every known record.
        ages: customer_id, minted_at of former ids; an id that is missing is older than all.
    """
    known = members.join(links, "record_key", "left")
    is_first = F.max(minted("record_key") == F.col("former_id"))
    by_former = known.where("former_id IS NOT NULL").groupBy("cluster", "former_id")
    votes = by_former.agg(F.count(F.lit(1)).alias("votes"), is_first.alias("has_first"))
    votes = votes.join(ages.withColumnRenamed("customer_id", "former_id"), "former_id", "left")
    by_id = Window.partitionBy("former_id").orderBy(F.col("votes").desc(), F.col("has_first").desc(), "cluster")
    by_age = Window.partitionBy("cluster").orderBy(
        F.col("minted_at").asc_nulls_first(), F.col("votes").desc(), "former_id"
    )
    offered = votes.withColumn("_rank", F.row_number().over(by_id)).where("_rank = 1").drop("_rank")
    kept_ids = offered.withColumn("_rank", F.row_number().over(by_age)).where("_rank = 1")
    kept_ids = kept_ids.select("cluster", F.col("former_id").alias("kept_id"))
    firsts = members.groupBy("cluster").agg(F.min("record_key").alias("first_key"))
    known_ids = links.select(F.col("former_id").alias("fresh_id")).distinct().withColumn("_is_taken", F.lit(True))
    ids = (
        firsts.join(kept_ids, "cluster", "left")
        .withColumn("fresh_id", minted("first_key"))
        .join(known_ids, "fresh_id", "left")
        # A split-off cluster may start with the record from which the former id was derived.
        .withColumn(
            "fresh_id", F.when(F.col("_is_taken"), minted("first_key", "fresh_id")).otherwise(F.col("fresh_id"))
        )
        .select("cluster", F.coalesce("kept_id", "fresh_id").alias("customer_id"))
    )
    return known.join(ids, "cluster").select("record_key", "cluster", "customer_id", "former_id")
