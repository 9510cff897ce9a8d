"""Registration of tables in a catalog, so that SQL users find them by name."""

from pyspark.sql import SparkSession

from crm_spark.core.contract import TableContract


def register_table(spark: SparkSession, catalog: str, table: TableContract, path: str) -> None:
    """Register the Delta table at `path` as `<catalog>.<layer>_<entity>`."""
    name = f"{catalog}.{table.layer}_{table.entity}"
    spark.sql(f"CREATE TABLE IF NOT EXISTS {name} USING delta LOCATION '{path}'")
