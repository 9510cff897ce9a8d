"""The smallest table that every kind of write can be tried on."""

from crm_spark.contracts.types import LONG, STRING
from crm_spark.core.contract import TableContract, required

NOTE = TableContract(
    name="silver.note",
    grain=("id",),
    doc="A note.",
    columns=(required("id", STRING, "Id."), required("size", LONG, "Size.")),
)


def notes(spark, *rows):
    return spark.createDataFrame(rows, "id string, size long")


def content(store):
    """Read by a reader that shares no code with Spark."""
    from deltalake import DeltaTable

    rows = DeltaTable(store.path(NOTE)).to_pyarrow_table().to_pylist()
    return sorted((row["id"], row["size"]) for row in rows)
