"""The lake's tables: read, append, replace, merge, sync. Writes are idempotent by batch id and checked against contracts."""

import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

from delta.tables import DeltaTable
from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Observation, SparkSession
from pyspark.sql import functions as F

from crm_spark.core.contract import CONTRACT_VIOLATION, TableContract
from crm_spark.core.errors import BatchConflictError
from crm_spark.core.tables import delta_log
from crm_spark.core.tables.catalog import register_table
from crm_spark.core.tables.commits import EXPIRE_AT, KEEP, merge_session, transaction_version, with_retries
from crm_spark.core.tables.delta_log import TableState
from crm_spark.core.tables.evolution import add_missing_columns, relax_columns, with_contract_columns

_CREATING: defaultdict[str, threading.Lock] = defaultdict(threading.Lock)
"""One lock for each table's path: a table that another thread is creating looks like one whose creation was killed."""
LAYOUT_VERSION = 2
"""Layout of the lakes that this code reads and writes; `crm_spark.migrations` declares how each became the next."""
LAYOUT_PROPERTY = "crm_spark.layoutVersion"
_STATISTICS_PROPERTY = "delta.dataSkippingStatsColumns"


@dataclass(frozen=True)
class WriteResult:
    """Result of a write.

    Attributes:
        table: name of the table.
        num_rows: rows written; of a merge, rows inserted, updated or deleted.
        is_duplicate: the batch had been committed before, so that nothing was written.
    """

    table: str
    num_rows: int
    is_duplicate: bool = False


class TableStore:
    """The lake: a root directory or URI with one Delta table per contract at `<root>/<layer>/<entity>`.

    Args:
        spark: the session.
        root: directory or URI of the lake.
        catalog: schema prefix such as `main.crm`; every table is also registered there as `<layer>_<entity>`.
        committing: context manager around every commit; raises if the run has lost its lease.
        is_dry_run: check writes, but do not write.
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
        self.num_written: dict[TableContract, int] = {}
        """Rows written by table, until its reader clears it."""
        self._prepared: set[str] = set()

    def path(self, table: TableContract) -> str:
        """Directory or URI of the table."""
        return f"{self.root}/{table.layer}/{table.entity}"

    def state(self, table: TableContract) -> TableState:
        """The table's newest state, for several questions at once."""
        return TableState(self.spark, self.path(table))

    def version(self, table: TableContract) -> int:
        """The table's newest version; -1 if it has not been written."""
        return self.state(table).version

    def exists(self, table: TableContract) -> bool:
        """Whether the table has been written."""
        return self.version(table) >= 0

    def read(self, table: TableContract, *, version: int | None = None) -> DataFrame:
        """The table with the contract's columns; an empty frame if it has not been written.

        Args:
            table: the contract. Columns it gained after the rows were written are null.
            version: an earlier version of the table (time travel).
        """
        if not self.exists(table):
            return self.spark.createDataFrame([], table.schema)
        reader = self.spark.read.format("delta")
        if version is not None:
            reader = reader.option("versionAsOf", version)
        return with_contract_columns(reader.load(self.path(table)), table)

    def committed(self, table: TableContract, batch_id: str, digest: str) -> bool:
        """Whether this batch is in the table; at least the last 100 batch ids of a table are remembered.

        Raises:
            BatchConflictError: the batch id was committed with different content.
        """
        return self._is_committed(table, self.state(table), batch_id, digest)

    def _is_committed(self, table: TableContract, state: TableState, batch_id: str, digest: str) -> bool:
        version = state.transaction_version(batch_id)
        if version is None:
            return False
        if version != transaction_version(digest):
            raise BatchConflictError(
                f"{table.name}: batch {batch_id} was committed before with different content. "
                "A batch id identifies one content: give the changed delivery another id."
            )
        return True

    def append(
        self, table: TableContract, frame: DataFrame, *, batch_id: str, digest: str, is_unique: bool = False
    ) -> WriteResult:
        """Add rows once; an open table accepts new columns.

        Args:
            table: the contract.
            frame: the rows.
            batch_id: identifies the batch; writing it again is a no-op.
            digest: identifies the batch's content.
            is_unique: the frame has one row per grain by construction, so that uniqueness is not checked.
        """

        def write(checked: DataFrame) -> int:
            writer = checked.write.format("delta").mode("append").option("mergeSchema", str(table.is_open).lower())
            return self._save(table, writer, batch_id, digest)

        return self._write(table, frame, batch_id, digest, write, is_unique=is_unique, can_create=True)

    def replace(
        self,
        table: TableContract,
        frame: DataFrame,
        *,
        batch_id: str,
        digest: str,
        where: dict[str, Any] | None = None,
        is_unique: bool = False,
    ) -> WriteResult:
        """Replace all rows, or those in which each column of `where` has the given value; see `append`."""

        def write(checked: DataFrame) -> int:
            writer = checked.write.format("delta").mode("overwrite")
            if where:
                writer = writer.option("replaceWhere", " AND ".join(f"{k} = '{v}'" for k, v in where.items()))
            return self._save(table, writer, batch_id, digest)

        return self._write(table, frame, batch_id, digest, write, is_unique=is_unique, can_create=not where)

    def merge(
        self,
        table: TableContract,
        frame: DataFrame,
        *,
        batch_id: str,
        digest: str,
        insert_only: bool = False,
        is_stable: bool = False,
        is_unique: bool = False,
    ) -> WriteResult:
        """Upsert by grain; existing rows with equal content are left untouched.

        Args:
            table: the contract.
            frame: the rows.
            batch_id: identifies the batch; writing it again is a no-op.
            digest: identifies the batch's content.
            insert_only: leave existing rows as they are.
            is_stable: reading the frame twice is cheap and returns the same rows, so that it is not cached.
            is_unique: the frame has one row per grain by construction, so that uniqueness is not checked.
        """
        others = [name for name in table.column_names if name not in table.grain]
        is_first = not self.exists(table)

        def write(checked: DataFrame) -> int:
            if is_first:  # there are no rows to compare with: an append costs a third of a merge
                return self._save(table, checked.write.format("delta").mode("append"), batch_id, digest)
            session = merge_session(self.spark, batch_id, digest)
            values = _source_values(table)
            target = DeltaTable.forPath(session, self.path(table)).alias("t")
            merge = target.merge(checked.alias("s"), _same_key(table))
            if not insert_only and others:
                merge = merge.whenMatchedUpdate(condition=_differs(others), set=values)
            return _affected_rows(merge.whenNotMatchedInsert(values=values).execute())

        cached = not is_stable and not is_first
        return self._write(
            table, frame, batch_id, digest, write, is_unique=is_unique, is_read_twice=cached, can_create=is_first
        )

    def sync(
        self,
        table: TableContract,
        frame: DataFrame,
        *,
        keys: DataFrame,
        batch_id: str,
        digest: str,
        is_unique: bool = False,
    ) -> WriteResult:
        """Make the rows of some keys exactly those of `frame`: upsert by grain, delete rows that `frame` lacks.

        Args:
            table: the contract.
            frame: the rows; each belongs to one of the keys.
            keys: some of the grain's columns.
            batch_id: identifies the batch; writing it again is a no-op.
            digest: identifies the batch's content.
            is_unique: the frame has one row per grain by construction, so that uniqueness is not checked.
        """
        others = [name for name in table.column_names if name not in table.grain]
        is_first = not self.exists(table)

        def write(checked: DataFrame) -> int:
            if is_first:
                return self._save(table, checked.write.format("delta").mode("append"), batch_id, digest)
            known = self.read(table).join(keys, keys.columns, "left_semi")
            obsolete = known.join(frame, list(table.grain), "left_anti")
            session = merge_session(self.spark, batch_id, digest)
            source = checked.withColumn("_is_obsolete", F.lit(False)).unionByName(
                obsolete.select(*table.column_names).withColumn("_is_obsolete", F.lit(True))
            )
            values = _source_values(table)
            merge = DeltaTable.forPath(session, self.path(table)).alias("t").merge(source.alias("s"), _same_key(table))
            merge = merge.whenMatchedDelete(condition="s._is_obsolete")
            merge = merge.whenMatchedUpdate(condition=_differs(others), set=values)
            return _affected_rows(merge.whenNotMatchedInsert(condition="NOT s._is_obsolete", values=values).execute())

        return self._write(
            table, frame, batch_id, digest, write, is_unique=is_unique, is_read_twice=not is_first, can_create=is_first
        )

    def _save(self, table: TableContract, writer: Any, batch_id: str, digest: str) -> int:
        writer.option("txnAppId", batch_id).option("txnVersion", transaction_version(digest)).save(self.path(table))
        return -1  # the observation of `_write` counts the rows

    def _write(
        self,
        table: TableContract,
        frame: DataFrame,
        batch_id: str,
        digest: str,
        write: Callable[[DataFrame], int],
        *,
        is_unique: bool,
        is_read_twice: bool = False,
        can_create: bool = False,
    ) -> WriteResult:
        """Check the frame against the contract, and write it; with `can_create` the first write creates the table.

        Nulls are checked by the write itself, and uniqueness, where it is not given by construction, by a query before
        it; the frame is cached only if it is computed more than once.
        """
        state = self.state(table)
        if self._is_committed(table, state, batch_id, digest):
            return WriteResult(table.name, 0, is_duplicate=True)
        conformed = table.conformed(frame)
        is_cached = is_read_twice or not is_unique
        if is_cached:
            conformed = conformed.persist(StorageLevel.MEMORY_AND_DISK)
        try:
            num_checked = -1 if is_unique and not self.is_dry_run else table.check_rows(conformed)
            if self.is_dry_run:
                return WriteResult(table.name, num_checked)
            num_rows = self._commit(table, conformed, batch_id, digest, write, state, can_create)
            num_rows = num_rows if num_rows >= 0 else max(num_checked, 0)
            self.num_written[table] = self.num_written.get(table, 0) + num_rows
            return WriteResult(table.name, num_rows)
        except Exception as error:
            if CONTRACT_VIOLATION in str(error):
                table.check_rows(conformed)  # raises, with the number of rows
            raise
        finally:
            if is_cached:
                conformed.unpersist()

    def _commit(
        self,
        table: TableContract,
        frame: DataFrame,
        batch_id: str,
        digest: str,
        write: Callable[[DataFrame], int],
        state: TableState,
        can_create: bool,
    ) -> int:
        observation, num_written = Observation(), -1

        def attempt() -> None:
            nonlocal observation, num_written
            checked = table.requiring_values(frame)
            if can_create and self.version(table) < 0:
                with _CREATING[self.path(table)]:
                    if self.version(table) < 0:
                        num_written = self._create_from(table, checked, batch_id, digest)
                        return
            observation = Observation()  # an observation counts one execution only
            num_written = write(checked.observe(observation, F.count(F.lit(1)).alias("num_rows")))

        before = state.version
        if before >= 0 and (state.num_known_transactions or 0) > EXPIRE_AT:
            with self.committing():
                delta_log.expire_transactions(self.spark, self.path(table), keep=KEEP)
            before = self.version(table)
        has_written = with_retries(
            table.name,
            attempt,
            is_committed=lambda: self.committed(table, batch_id, digest),
            prepare=lambda: self._prepare(table, can_create),
            committing=self.committing,
        )
        if not has_written or num_written >= 0 or self.version(table) == before:
            return num_written  # an observation without an execution would wait forever
        return int(observation.get["num_rows"])

    def _prepare(self, table: TableContract, can_create: bool) -> None:
        """Create the table, unless its first write does; bring one that an older contract wrote up to date.

        Once per run and table.
        """
        path = self.path(table)
        state = self.state(table)
        if state.version < 0 if can_create else path in self._prepared and state.version >= 0:
            return
        with _CREATING[path]:
            state = self.state(table)
            if state.version < 0:
                self._create(table)
            elif path not in self._prepared:
                add_missing_columns(self.spark, path, table, present=state.columns)
                relax_columns(self.spark, path, table, required=state.required_columns)
                self._set_properties(table, state)
            self._prepared.add(path)

    def _create(self, table: TableContract) -> None:
        path = self.path(table)
        delta_log.remove_incomplete_table(self.spark, path)
        builder = DeltaTable.createIfNotExists(self.spark).location(path).addColumns(table.schema)
        for key, value in self._properties(table).items():
            builder = builder.property(key, value)
        if table.partition_by:
            builder = builder.partitionedBy(*table.partition_by)
        builder.execute()
        if self.catalog:
            register_table(self.spark, self.catalog, table, path)

    def _create_from(self, table: TableContract, frame: DataFrame, batch_id: str, digest: str) -> int:
        """Create the table with its first rows in one commit: creating it empty costs as much again.

        Returns:
            The number of rows.
        """
        path = self.path(table)
        delta_log.remove_incomplete_table(self.spark, path)
        writer = frame.writeTo(f"delta.`{path}`").using("delta")
        for key, value in self._properties(table).items():
            writer = writer.tableProperty(key, value)
        if table.partition_by:
            writer = writer.partitionedBy(*(F.col(name) for name in table.partition_by))
        writer.option("txnAppId", batch_id).option("txnVersion", str(transaction_version(digest))).create()
        if self.catalog:
            register_table(self.spark, self.catalog, table, path)
        self._prepared.add(path)
        # An observation is not reported for a write that creates a table.
        return delta_log.num_output_rows(self.spark, path, 0)

    def _properties(self, table: TableContract) -> dict[str, str]:
        return {
            # Minima and maxima are copied into the transaction log, where erasure cannot reach them for a while.
            _STATISTICS_PROPERTY: ",".join(table.statistics_columns),
            LAYOUT_PROPERTY: str(LAYOUT_VERSION),
        }

    def _set_properties(self, table: TableContract, state: TableState) -> None:
        path, expected, present = self.path(table), self._properties(table), state.properties
        changed = {key: value for key, value in expected.items() if present.get(key) != value}
        if changed:
            delta_log.set_properties(self.spark, path, changed)
        if delta_log.RETENTION_PROPERTY in present:
            delta_log.remove_retention(self.spark, path)


def _affected_rows(metrics: DataFrame) -> int:
    """Rows inserted, updated or deleted; Delta returns no metrics if it skipped a committed batch."""
    row = metrics.first()
    return int(row["num_affected_rows"]) if row is not None else 0


def _source_values(table: TableContract) -> dict[str, str | Column]:
    return {f"`{name}`": f"s.`{name}`" for name in table.column_names}


def _same_key(table: TableContract) -> str:
    return " AND ".join(f"t.`{name}` = s.`{name}`" for name in table.grain)


def _differs(names: list[str]) -> str:
    return " OR ".join(f"NOT (t.`{name}` <=> s.`{name}`)" for name in names)
