"""Customer ids that stay: a cluster inherits an id its members had, a new id is minted only for people nobody knew."""

from pyspark.sql import Column, DataFrame, Window
from pyspark.sql import functions as F


def minted(*parts: str | Column) -> Column:
    """A customer id from what names its first member; not from a counter, so reruns mint the same."""
    return F.concat(F.lit("c"), F.substring(F.sha2(F.concat_ws("|", *parts), 256), 1, 16))


def assign(members: DataFrame, links: DataFrame) -> DataFrame:
    """Grain: record_key. `customer_id`, `former_id` (null: the record is new), `cluster`.

    Each former id goes to the cluster that holds most of its records, and a cluster that is offered several keeps the one
    with most records in it; ties go to the smaller name. What is left without an id is minted.

    Args:
        members: record_key, cluster: every record there is.
        links: record_key, former_id: who each record was.
    """
    known = members.join(links, "record_key", "left")
    votes = known.where("former_id IS NOT NULL").groupBy("cluster", "former_id").agg(F.count(F.lit(1)).alias("votes"))
    by_id = Window.partitionBy("former_id").orderBy(F.col("votes").desc(), "cluster")
    by_cluster = Window.partitionBy("cluster").orderBy(F.col("votes").desc(), "former_id")
    offered = votes.withColumn("_rank", F.row_number().over(by_id)).where("_rank = 1").drop("_rank")
    kept = offered.withColumn("_rank", F.row_number().over(by_cluster)).where("_rank = 1")
    kept = kept.select("cluster", F.col("former_id").alias("kept_id"))
    firsts = members.groupBy("cluster").agg(F.min("record_key").alias("first_key"))
    taken = links.select(F.col("former_id").alias("fresh_id")).distinct().withColumn("_is_taken", F.lit(True))
    ids = (
        firsts.join(kept, "cluster", "left")
        .withColumn("fresh_id", minted("first_key"))
        .join(taken, "fresh_id", "left")
        # A split-off part may begin with the very record its former id was minted from.
        .withColumn(
            "fresh_id", F.when(F.col("_is_taken"), minted("first_key", "fresh_id")).otherwise(F.col("fresh_id"))
        )
        .select("cluster", F.coalesce("kept_id", "fresh_id").alias("customer_id"))
    )
    return known.join(ids, "cluster").select("record_key", "cluster", "customer_id", "former_id")


def events(assigned: DataFrame) -> DataFrame:
    """Grain: kind x customer_id x other_customer_id. What happened to ids: minted, merged into another, split off."""
    current = assigned.select("customer_id", F.lit(True).alias("_lives")).distinct()
    former = assigned.where("former_id IS NOT NULL").select("former_id").distinct()
    fresh = current.join(former, current.customer_id == former.former_id, "left_anti")
    fresh = fresh.select("customer_id")
    moved = (
        assigned.where("former_id IS NOT NULL AND former_id <> customer_id")
        .select("customer_id", "former_id")
        .distinct()
    )
    gone = moved.join(current.withColumnRenamed("customer_id", "former_id"), "former_id", "left_anti")
    merged = gone.select(
        F.lit("merged").alias("kind"),
        F.col("former_id").alias("customer_id"),
        F.col("customer_id").alias("other_customer_id"),
    )
    split = moved.join(current.withColumnRenamed("customer_id", "former_id"), "former_id", "left_semi").select(
        F.lit("split").alias("kind"), "customer_id", F.col("former_id").alias("other_customer_id")
    )
    born = fresh.select(
        F.lit("minted").alias("kind"), "customer_id", F.lit(None).cast("string").alias("other_customer_id")
    )
    return born.unionByName(merged).unionByName(split)
