"""The customer of a record: every stage joins records to customers through this function."""

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from crm_spark.contracts.gold import CUSTOMER_LINK
from crm_spark.contracts.sales import ORDER, PAYMENT
from crm_spark.core.tables import TableStore


def with_person_of_order(records: DataFrame, entity: str, tables: TableStore) -> DataFrame:
    """Grain unchanged. Payments that name only their order get the person of the order."""
    if entity != PAYMENT.entity:
        return records
    orders = tables.read(ORDER).select("system", "order_id", F.col("person_id").alias("_of_order"))
    joined = records.join(orders, ["system", "order_id"], "left")
    return joined.withColumn("person_id", F.coalesce("person_id", "_of_order")).drop("_of_order")


def with_customer_id(records: DataFrame, tables: TableStore, *, how: str = "inner") -> DataFrame:
    """Add `customer_id` to records that name a person by `system` and `person_id`.

    Args:
        records: silver records, or texts.
        tables: the lake.
        how: `inner` drops records without a customer, such as those of guests; `left` keeps them with null.
    """
    links = tables.read(CUSTOMER_LINK).select("system", "person_id", "customer_id")
    return records.join(links, ["system", "person_id"], how)
