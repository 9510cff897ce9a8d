"""The customer of a record: every stage joins records to customers through this function."""

from pyspark.sql import DataFrame

from crm_spark.contracts.gold import CUSTOMER_LINK
from crm_spark.core.tables import TableStore


def with_customer_id(records: DataFrame, tables: TableStore, *, how: str = "inner") -> DataFrame:
    """Add `customer_id` to records that name a person by `system` and `person_id`.

    Args:
        records: silver records, or texts.
        tables: the lake.
        how: `inner` drops records without a customer, such as those of guests; `left` keeps them with null.
    """
    links = tables.read(CUSTOMER_LINK).select("system", "person_id", "customer_id")
    return records.join(links, ["system", "person_id"], how)
