"""Adapter for the parts of Delta's transaction log that have no public Python API.

Three questions are asked before and after every write, and `DeltaTable.history()` or `DESCRIBE DETAIL` answer none of
them without a Spark job: the newest version, the last transaction version of an application id, and whether a log
directory holds a commit at all. `DeltaLog`, `Snapshot` and `SparkSession._jsparkSession` are internal, so they are used
in this module only; `tests/spark/core/test_delta_log.py` fails when an upgrade changes them.
"""

import time
from collections.abc import Mapping
from typing import Any

from pyspark.sql import SparkSession

from crm_spark.core.jvm_lookups import jvm_class

RETENTION_PROPERTY = "delta.setTransactionRetentionDuration"


def _log(spark: SparkSession, path: str) -> Any:
    return jvm_class(spark, "org.apache.spark.sql.delta.DeltaLog").forTable(spark._jsparkSession, path)


def _snapshot(spark: SparkSession, path: str) -> Any:
    none = jvm_class(spark, "scala.Option").empty()
    return _log(spark, path).update(False, none, none)


class TableState:
    """State of a Delta table at its newest version, read from the log without a Spark job."""

    def __init__(self, spark: SparkSession, path: str):
        self._snapshot = _snapshot(spark, path)
        self.version = int(self._snapshot.version())
        """-1 if there is no table."""

    @property
    def columns(self) -> list[str]:
        """Names of the columns."""
        return list(self._snapshot.schema().fieldNames())

    @property
    def required_columns(self) -> list[str]:
        """Names of the columns that may not be null."""
        schema = self._snapshot.schema()
        return [name for name in schema.fieldNames() if not schema.apply(name).nullable()]

    @property
    def properties(self) -> dict[str, str]:
        """The table's properties."""
        configuration = self._snapshot.metadata().configuration()
        keys = configuration.keySet().toSeq()
        return {keys.apply(i): configuration.apply(keys.apply(i)) for i in range(keys.size())}

    @property
    def num_known_transactions(self) -> int | None:
        """Number of transaction ids in the newest checksum file; None if it lists none and writes must replay the log."""
        known = self._known_transactions()
        return None if known is None else len(known)

    def transaction_version(self, app_id: str) -> int | None:
        """The highest transaction version committed under `app_id`; None if there is none or it has expired."""
        known = self._known_transactions()
        if known is not None:
            return known.get(app_id)
        version = self._snapshot.transactions().get(app_id)
        return int(version.get()) if version.isDefined() else None

    def _known_transactions(self) -> dict[str, int] | None:
        """Transaction versions by application id, from the checksum file.

        `Snapshot.setTransactionsIfKnown` would return the same, but makes Delta 4.4 compute the state of the snapshot.
        """
        checksum = self._snapshot.checksumOpt()
        known = checksum.get().setTransactions() if checksum.isDefined() else None
        if known is None or not known.isDefined():
            return None
        transactions = known.get()
        each = (transactions.apply(i) for i in range(transactions.size()))
        return {str(txn.appId()): int(txn.version()) for txn in each}


def set_properties(spark: SparkSession, path: str, properties: Mapping[str, str]) -> None:
    """Set properties of the Delta table at `path`, in one commit."""
    listed = ", ".join(f"'{key}' = '{value}'" for key, value in properties.items())
    spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ({listed})")


def expire_transactions(spark: SparkSession, path: str, *, keep: int, margin_seconds: int = 60) -> None:
    """Remove old transaction ids from the state of the table; at least the newest `keep` stay.

    Delta drops ids older than the table property `delta.setTransactionRetentionDuration` when it writes a checkpoint. The
    property is set for one checkpoint only: while it is set, the checksum file lists no transactions, and every write
    would replay the log.

    Args:
        spark: the session.
        path: directory or URI of the table.
        keep: number of ids.
        margin_seconds: ids up to this much older than the oldest one to keep stay too; setting the property takes time.
    """
    known = _snapshot(spark, path).setTransactions()
    updated_at = sorted((int(known.apply(i).lastUpdated().get()) for i in range(known.size())), reverse=True)
    if len(updated_at) <= keep:
        return
    seconds = int(time.time() - updated_at[keep - 1] / 1000) + 1 + margin_seconds
    if time.time() - updated_at[-1] / 1000 <= seconds:
        return  # none is old enough
    set_properties(spark, path, {RETENTION_PROPERTY: f"interval {seconds} seconds"})
    try:
        _log(spark, path).checkpoint()
    finally:
        remove_retention(spark, path)


def remove_retention(spark: SparkSession, path: str) -> None:
    """Remove the retention of transaction ids; `expire_transactions` leaves it set if it is killed."""
    spark.sql(f"ALTER TABLE delta.`{path}` UNSET TBLPROPERTIES IF EXISTS ('{RETENTION_PROPERTY}')")


def num_output_rows(spark: SparkSession, path: str, version: int) -> int:
    """Number of rows that the commit of a version wrote."""
    changes = _log(spark, path).getChanges(version, jvm_class(spark, "scala.Option").empty(), False)
    actions = changes.next()._2()
    for i in range(actions.size()):
        if actions.apply(i).getClass().getSimpleName() == "CommitInfo":
            return int(actions.apply(i).operationMetrics().get().apply("numOutputRows"))
    raise LookupError(f"{path}: version {version} has no commit information")


def remove_incomplete_table(spark: SparkSession, path: str) -> None:
    """Delete what a killed or failed creation of the table left: data files, and a log directory without a single commit.

    Delta neither reads such a directory as a table nor creates a table in it. A directory with other files is kept.
    """
    folder = jvm_class(spark, "org.apache.hadoop.fs.Path")(path)
    file_system = folder.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf())
    if not file_system.exists(folder):
        return
    files = file_system.listFiles(folder, True)
    while files.hasNext():
        file = files.next().getPath()
        is_log = "/_delta_log/" in file.toString()
        if not file.getName().startswith("." if is_log else (".", "part-", "_")):
            return
    file_system.delete(folder, True)


def rename_directory(spark: SparkSession, old: str, new: str) -> bool:
    """Rename a directory on whichever file system it is; False if `old` does not exist or `new` does."""
    as_path = jvm_class(spark, "org.apache.hadoop.fs.Path")
    source, target = as_path(old), as_path(new)
    file_system = source.getFileSystem(spark._jsparkSession.sessionState().newHadoopConf())
    if not file_system.exists(source) or file_system.exists(target):
        return False
    file_system.mkdirs(target.getParent())
    return bool(file_system.rename(source, target))
