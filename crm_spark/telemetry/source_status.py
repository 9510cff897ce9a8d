"""What has arrived from each source."""

from pyspark.sql import Row
from pyspark.sql import functions as F

from crm_spark.contracts.ops import DELIVERY, RECONCILIATION
from crm_spark.core.tables import TableStore


def source_status(store: TableStore) -> list[Row]:
    """Each source with its deliveries, the newest one and its reconciliation. Grain: source.

    Columns: num_deliveries, num_days with a delivery, first_at and newest_at (UTC), batch_id and num_rows of the newest delivery,
    num_in and num_quarantined of the same (null: not cleaned yet), newest_event_at (UTC).
    """
    ingested = store.read(DELIVERY).where("status = 'ingested'")
    batches = ingested.groupBy("source", "batch_id").agg(
        F.max("arrived_at").alias("arrived_at"), F.sum("num_rows").alias("num_rows")
    )
    by_source = batches.groupBy("source").agg(
        F.count(F.lit(1)).alias("num_deliveries"),
        F.count_distinct(F.to_date("arrived_at")).alias("num_days"),  # a backlog arrives on one day
        F.min("arrived_at").alias("first_at"),
        F.max("arrived_at").alias("newest_at"),
        F.max_by("batch_id", F.struct("arrived_at", "batch_id")).alias("batch_id"),
        F.max_by("num_rows", F.struct("arrived_at", "batch_id")).alias("num_rows"),
    )
    counts = store.read(RECONCILIATION)
    newest_event = counts.groupBy("source").agg(F.max("last_event_at").alias("newest_event_at"))
    newest_counts = counts.groupBy("source", "batch_id").agg(
        F.sum("num_in").alias("num_in"), F.sum("num_quarantined").alias("num_quarantined")
    )
    joined = by_source.join(newest_event, "source", "left").join(newest_counts, ["source", "batch_id"], "left")
    return joined.orderBy("source").collect()
