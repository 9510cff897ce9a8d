"""The table store: the only package that imports Delta Lake."""

from crm_spark.core.tables.store import TableStore, WriteResult

__all__ = ["TableStore", "WriteResult"]
