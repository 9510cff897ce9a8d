"""Stable customer ids: a cluster keeps the id of its members; only clusters without one get a new id."""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F


def minted(*parts: str | Column) -> Column:
    """Deterministic customer id, derived from the key of the cluster's first record."""
    return F.concat(F.lit("c"), F.substring(F.sha2(F.concat_ws("|", *parts), 256), 1, 16))


def assign(members: DataFrame, links: DataFrame) -> DataFrame:
    """Assign customer ids to clusters. Grain: record_key. Returns `customer_id`, `former_id` (null if new), `cluster`.

    Each former id goes to the cluster with most of its records. A cluster with several former ids keeps the one with most
    records. Ties are resolved by the smaller id. Clusters without an id get a new one.

    Args:
        members: record_key, cluster of every record.
        links: record_key, former_id of every known record.
    """
    known = members.join(links, "record_key", "left")
    votes = known.where("former_id IS NOT NULL").groupBy("cluster", "former_id").agg(F.count(F.lit(1)).alias("votes"))
    by_id = Window.partitionBy("former_id").orderBy(F.col("votes").desc(), "cluster")
    by_cluster = Window.partitionBy("cluster").orderBy(F.col("votes").desc(), "former_id")
    offered = votes.withColumn("_rank", F.row_number().over(by_id)).where("_rank = 1").drop("_rank")
    kept_ids = offered.withColumn("_rank", F.row_number().over(by_cluster)).where("_rank = 1")
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


def events(assigned: DataFrame) -> DataFrame:
    """Identity events: minted, merged and split ids. Grain: kind x customer_id x other_customer_id."""
    current = assigned.select("customer_id", F.lit(True).alias("_is_current")).distinct()
    former = assigned.where("former_id IS NOT NULL").select("former_id").distinct()
    fresh = current.join(former, current.customer_id == former.former_id, "left_anti")
    fresh = fresh.select("customer_id")
    moved = (
        assigned.where("former_id IS NOT NULL AND former_id <> customer_id")
        .select("customer_id", "former_id")
        .distinct()
    )
    retired = moved.join(current.withColumnRenamed("customer_id", "former_id"), "former_id", "left_anti")
    merged = retired.select(
        F.lit("merged").alias("kind"),
        F.col("former_id").alias("customer_id"),
        F.col("customer_id").alias("other_customer_id"),
    )
    split = moved.join(current.withColumnRenamed("customer_id", "former_id"), "former_id", "left_semi").select(
        F.lit("split").alias("kind"), "customer_id", F.col("former_id").alias("other_customer_id")
    )
    created = fresh.select(
        F.lit("minted").alias("kind"), "customer_id", F.lit(None).cast("string").alias("other_customer_id")
    )
    return created.unionByName(merged).unionByName(split)
