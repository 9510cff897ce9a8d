"""Records of which only the e-mail address is known, as of a help desk or a newsletter."""

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.stages.resolve.evidence import Evidence


def only_email(records: DataFrame, evidence: Sequence[Evidence]) -> DataFrame:
    """Records whose only evidence is the e-mail address. Grain: record_key.

    They are linked by it: one column alone does not reach the match probability of a person.
    """
    others = F.coalesce(*(F.col(e.column) for e in evidence if e.column != "email_match"))
    is_bare = F.col("email_match").isNotNull() & others.isNull()
    return records.where(is_bare).select("record_key", "email_match")


def with_mailboxes(clusters: DataFrame, records: DataFrame, bare: DataFrame) -> DataFrame:
    """Add e-mail-only records to the clusters. Grain: record_key.

    A record joins the cluster with its e-mail if there is exactly one; otherwise records with the same e-mail form a
    cluster of their own.
    """
    owned = records.where(F.col("email_match").isNotNull()).join(clusters, "record_key")
    owners = owned.groupBy("email_match").agg(
        F.count_distinct("cluster").alias("num_clusters"), F.min("cluster").alias("owner")
    )
    first = bare.groupBy("email_match").agg(F.min("record_key").alias("first_key"))
    placed = bare.join(first, "email_match").join(owners, "email_match", "left")
    cluster = F.when(F.col("num_clusters") == 1, F.col("owner")).otherwise(F.col("first_key"))
    return clusters.unionByName(placed.select("record_key", cluster.alias("cluster")))
