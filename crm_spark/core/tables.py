"""The table store: the only module that knows Delta exists. Writes are idempotent by batch id.

Delta remembers, per `txnAppId`, the highest `txnVersion` it committed and skips anything at or below it in silence,
also when the content differs. So the batch id is the application id and the first 60 bits of the content digest are the
version: the same pair again is a repeat, the same id with another number is an error, and both are known from the
table's own log in one look, with nothing else to keep in step.
"""

import random
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from delta.exceptions import (
    ConcurrentAppendException,
    ConcurrentDeleteDeleteException,
    ConcurrentDeleteReadException,
    ConcurrentTransactionException,
    ConcurrentWriteException,
    DeltaConcurrentModificationException,
    MetadataChangedException,
    ProtocolChangedException,
)
from delta.tables import DeltaTable
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F

from crm_spark.core.contract import TableContract
from crm_spark.core.errors import BatchConflictError, CrmError

_TXN_APP = "spark.databricks.delta.write.txnAppId"
_TXN_VERSION = "spark.databricks.delta.write.txnVersion"
_TXN_RESET = "spark.databricks.delta.write.txnVersion.autoReset.enabled"
_CONFLICTS = (
    ConcurrentAppendException,
    ConcurrentDeleteDeleteException,
    ConcurrentDeleteReadException,
    ConcurrentTransactionException,
    ConcurrentWriteException,
    DeltaConcurrentModificationException,
    MetadataChangedException,
    ProtocolChangedException,
)
"""What Delta says when another writer won; in Python they have no ancestor of their own."""
_ATTEMPTS = 12
_SESSION_SETTINGS = threading.Lock()
_MAKING = threading.Lock()


@dataclass(frozen=True)
class WriteResult:
    """What a write did: the table, the rows it was given, and whether the batch had been committed before."""

    table: str
    num_rows: int
    is_duplicate: bool = False


class TableStore:
    """The lake: a root directory or URI with one Delta table per contract at `<root>/<layer>/<entity>`.

    With a `catalog` (a schema prefix such as `main.crm`), every table is also registered there under `layer_entity`.
    """

    def __init__(
        self,
        spark: SparkSession,
        root: str,
        *,
        catalog: str | None = None,
        committing: Callable[[], AbstractContextManager[None]] = nullcontext,
        is_dry_run: bool = False,
    ):
        self.spark = spark
        self.root = root.rstrip("/")
        self.catalog = catalog
        self.committing = committing
        self.is_dry_run = is_dry_run

    def path(self, table: TableContract) -> str:
        """Where the table lies."""
        return f"{self.root}/{table.layer}/{table.entity}"

    def version(self, table: TableContract) -> int:
        """The table's newest version; -1 where there is none yet."""
        return int(self._snapshot(table).version())

    def exists(self, table: TableContract) -> bool:
        """Whether the table has been written."""
        return self.version(table) >= 0

    def read(self, table: TableContract, *, version: int | None = None) -> DataFrame:
        """The table, or an empty frame of its schema where it has not been written; `version` travels in time."""
        if not self.exists(table):
            return self.spark.createDataFrame([], table.schema)
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return reader.load(self.path(table))

    def committed(self, table: TableContract, batch_id: str, digest: str) -> bool:
        """Whether this batch is in the table.

        Raises:
            BatchConflictError: the batch id was committed with other content.
        """
        seen = self._txn_version_of(table, batch_id)
        if seen is None:
            return False
        if seen != _txn_version(digest):
            raise BatchConflictError(
                f"{table.name}: batch {batch_id} was committed before with other content. "
                "A batch id names one content for ever: give the changed delivery another id."
            )
        return True

    def append(self, table: TableContract, frame: DataFrame, *, batch_id: str, digest: str) -> WriteResult:
        """Adds the rows once; an open table takes columns it has not seen before."""

        def write(checked: DataFrame) -> None:
            writer = checked.write.format("delta").mode("append").option("mergeSchema", str(table.is_open).lower())
            writer.option("txnAppId", batch_id).option("txnVersion", _txn_version(digest)).save(self.path(table))

        return self._write(table, frame, batch_id, digest, write)

    def replace(
        self, table: TableContract, frame: DataFrame, *, batch_id: str, digest: str, where: dict[str, Any] | None = None
    ) -> WriteResult:
        """Puts the rows in place of all rows, or of those where each named column equals its value."""

        def write(checked: DataFrame) -> None:
            writer = checked.write.format("delta").mode("overwrite")
            if where:
                writer = writer.option("replaceWhere", " AND ".join(f"{k} = '{v}'" for k, v in where.items()))
            writer.option("txnAppId", batch_id).option("txnVersion", _txn_version(digest)).save(self.path(table))

        return self._write(table, frame, batch_id, digest, write)

    def merge(
        self,
        table: TableContract,
        frame: DataFrame,
        *,
        batch_id: str,
        digest: str,
        insert_only: bool = False,
        is_settled: bool = False,
    ) -> WriteResult:
        """Upserts by grain; a row that is already there with equal content is left untouched.

        `is_settled`: to read `frame` twice costs little and gives the same rows, so it need not be cached.
        """
        others = [n for n in table.column_names if n not in table.grain]
        is_empty = not self.exists(table)

        def write(checked: DataFrame) -> None:
            if is_empty:  # nothing to compare with: an append is the same and costs a third
                writer = checked.write.format("delta").mode("append")
                writer.option("txnAppId", batch_id).option("txnVersion", _txn_version(digest)).save(self.path(table))
                return
            merge = (
                DeltaTable.forPath(self.spark, self.path(table)).alias("t").merge(checked.alias("s"), _same_key(table))
            )
            if not insert_only and others:
                merge = merge.whenMatchedUpdateAll(condition=_differs(others))
            # The settings belong to the session: one MERGE at a time, whatever else runs beside it.
            with _SESSION_SETTINGS, _SessionTransaction(self.spark, batch_id, digest):
                merge.whenNotMatchedInsertAll().execute()

        return self._write(table, frame, batch_id, digest, write, is_settled=is_settled)

    def sync(
        self, table: TableContract, frame: DataFrame, *, keys: DataFrame, batch_id: str, digest: str
    ) -> WriteResult:
        """Makes the rows of these keys exactly those of `frame`: upserts by grain, and deletes what it lacks.

        `keys` has some of the grain's columns, and each row of `frame` one of its keys.
        """
        others = [n for n in table.column_names if n not in table.grain]
        gone = self.read(table).join(keys, keys.columns, "left_semi").join(frame, list(table.grain), "left_anti")

        def write(checked: DataFrame) -> None:
            both = checked.withColumn("_is_gone", F.lit(False)).unionByName(
                gone.select(*table.column_names).withColumn("_is_gone", F.lit(True))
            )
            values: dict[str, str | Column] = {n: f"s.{n}" for n in table.column_names}
            merge = DeltaTable.forPath(self.spark, self.path(table)).alias("t").merge(both.alias("s"), _same_key(table))
            merge = merge.whenMatchedDelete(condition="s._is_gone")
            merge = merge.whenMatchedUpdate(condition=_differs(others), set=values)
            with _SESSION_SETTINGS, _SessionTransaction(self.spark, batch_id, digest):
                merge.whenNotMatchedInsert(condition="NOT s._is_gone", values=values).execute()

        return self._write(table, frame, batch_id, digest, write)

    def _write(
        self,
        table: TableContract,
        frame: DataFrame,
        batch_id: str,
        digest: str,
        write: Callable[[DataFrame], None],
        *,
        is_settled: bool = False,
    ) -> WriteResult:
        if self.committed(table, batch_id, digest):
            return WriteResult(table.name, 0, is_duplicate=True)
        conformed = table.conformed(frame)
        if not is_settled:
            conformed = conformed.persist(StorageLevel.MEMORY_AND_DISK)
        try:
            num_rows = table.check_rows(conformed)
            if not self.is_dry_run:
                self._with_retries(table, batch_id, digest, lambda: write(conformed))
        finally:
            if not is_settled:
                conformed.unpersist()
        return WriteResult(table.name, num_rows)

    def _create_if_missing(self, table: TableContract) -> None:
        if self.exists(table):
            return
        with _MAKING:  # another thread's table that is being made looks like one whose making was killed
            if not self.exists(table):
                self._make(table)

    def _make(self, table: TableContract) -> None:
        self._clear_begun_log(table)
        builder = DeltaTable.createIfNotExists(self.spark).location(self.path(table)).addColumns(table.schema)
        # Column minima and maxima are copied into the transaction log, where erasure cannot reach them for a while.
        builder = builder.property("delta.dataSkippingStatsColumns", ",".join(table.statistics_columns))
        if table.partition_by:
            builder = builder.partitionedBy(*table.partition_by)
        builder.execute()
        if self.catalog:
            name = f"{self.catalog}.{table.layer}_{table.entity}"
            self.spark.sql(f"CREATE TABLE IF NOT EXISTS {name} USING delta LOCATION '{self.path(table)}'")

    def _clear_begun_log(self, table: TableContract) -> None:
        """Removes the log of a table whose making was killed: Delta takes it for no table, and makes none beside it."""
        jvm: Any = self.spark._jvm
        log = jvm.org.apache.hadoop.fs.Path(self.path(table), "_delta_log")
        system = log.getFileSystem(self.spark._jsparkSession.sessionState().newHadoopConf())
        if not system.exists(log):
            return
        files = system.listFiles(log, True)
        while files.hasNext():
            if not files.next().getPath().getName().startswith("."):
                return  # not a draft: whatever it is, it is not ours to remove
        system.delete(log, True)

    def _with_retries(self, table: TableContract, batch_id: str, digest: str, write: Callable[[], None]) -> None:
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                with self.committing():  # the lease may be lost while this waits for its turn
                    if attempt > 1 and self.committed(table, batch_id, digest):
                        return None  # it had landed, and only its answer was lost
                    self._create_if_missing(table)
                    return write()
            except _CONFLICTS:
                if attempt == _ATTEMPTS:
                    raise CrmError(
                        f"{table.name}: another writer won {_ATTEMPTS} times in a row. Run one refresh at a time."
                    ) from None
                time.sleep(random.uniform(0.1, 0.5) * attempt)

    def _txn_version_of(self, table: TableContract, batch_id: str) -> int | None:
        snapshot = self._snapshot(table)
        # What the newest commit wrote down beside itself; else Delta reads the log anew, which takes a second or two.
        known = snapshot.setTransactionsIfKnown()
        if known.isDefined():
            every = known.get()
            found = (every.apply(i) for i in range(every.size()))
            return next((int(txn.version()) for txn in found if txn.appId() == batch_id), None)
        seen = snapshot.transactions().get(batch_id)
        return int(seen.get()) if seen.isDefined() else None

    def _snapshot(self, table: TableContract) -> Any:
        jvm: Any = self.spark._jvm
        nothing = jvm.scala.Option.empty
        log = jvm.org.apache.spark.sql.delta.DeltaLog.forTable(self.spark._jsparkSession, self.path(table))
        return log.update(False, nothing(), nothing())


class _SessionTransaction:
    """MERGE takes its transaction id from the session's settings only; they must not outlive the statement."""

    def __init__(self, spark: SparkSession, batch_id: str, digest: str):
        self.spark, self.values = (
            spark,
            {_TXN_APP: batch_id, _TXN_VERSION: str(_txn_version(digest)), _TXN_RESET: "true"},
        )

    def __enter__(self) -> None:
        for key, value in self.values.items():
            self.spark.conf.set(key, value)

    def __exit__(self, *_: object) -> None:
        for key in self.values:
            self.spark.conf.unset(key)


def _txn_version(digest: str) -> int:
    """60 bits of a digest as Delta's transaction version, never 0."""
    return int(sha256(digest.encode()).hexdigest()[:15], 16) | 1


def _same_key(table: TableContract) -> str:
    return " AND ".join(f"t.{name} = s.{name}" for name in table.grain)


def _differs(names: list[str]) -> str:
    return " OR ".join(f"NOT (t.{name} <=> s.{name})" for name in names)
