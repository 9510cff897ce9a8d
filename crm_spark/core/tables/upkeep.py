"""Compaction, removal of old versions and deletion of rows, for tables that are given by their path."""

from dataclasses import dataclass

from pyspark.sql import SparkSession

from crm_spark.core.jvm_lookups import jvm_class
from crm_spark.core.tables.commits import session_with

_LOG = "_delta_log"
_TARGET_BYTES = 128 << 20
"""Size of compacted files. A MERGE rewrites whole files, so that larger ones make small updates slow."""
_SMALL_BYTES = _TARGET_BYTES // 4
_LOG_RETENTION, _FILE_RETENTION = "delta.logRetentionDuration", "delta.deletedFileRetentionDuration"


@dataclass(frozen=True)
class TableSize:
    """Files of the newest version of a table, and their bytes."""

    num_files: int
    num_bytes: int
    num_partitions: int
    properties: dict[str, str]

    def is_fragmented(self, from_files: int) -> bool:
        """Whether the partitions hold at least `from_files` files more than one each, and these are small on average."""
        return self.num_files - self.num_partitions >= from_files - 1 and self.num_bytes < self.num_files * _SMALL_BYTES


def table_paths(spark: SparkSession, root: str) -> dict[str, str]:
    """Path of every Delta table at `<root>/<layer>/<entity>`, by its name `layer.entity`."""
    folder = jvm_class(spark, "org.apache.hadoop.fs.Path")(root)
    file_system = folder.getFileSystem(spark._jsc.hadoopConfiguration())
    found = file_system.globStatus(jvm_class(spark, "org.apache.hadoop.fs.Path")(f"{root}/*/*/{_LOG}")) or []
    tables = [status.getPath().getParent() for status in found]
    return {f"{table.getParent().getName()}.{table.getName()}": table.toString() for table in tables}


def table_size(spark: SparkSession, path: str) -> TableSize:
    """Size of the newest version of a table."""
    row = spark.sql(f"DESCRIBE DETAIL delta.`{path}`").select(
        "numFiles", "sizeInBytes", "partitionColumns", "properties"
    )
    num_files, num_bytes, partition_by, properties = row.collect()[0]
    num_partitions = 1
    if partition_by:
        num_partitions = spark.read.format("delta").load(path).select(*partition_by).distinct().count()
    return TableSize(int(num_files), int(num_bytes), num_partitions, dict(properties))


def set_retention(spark: SparkSession, path: str, size: TableSize, *, days: int) -> None:
    """Keep versions, and the files that only they contain, for a number of days."""
    expected = {_LOG_RETENTION: f"interval {days} days", _FILE_RETENTION: f"interval {days} days"}
    if any(size.properties.get(key) != value for key, value in expected.items()):
        listed = ", ".join(f"'{key}' = '{value}'" for key, value in expected.items())
        spark.sql(f"ALTER TABLE delta.`{path}` SET TBLPROPERTIES ({listed})")


def compact(spark: SparkSession, path: str) -> int:
    """Combine small files; return the number of files that were replaced."""
    session = session_with(spark, {"spark.databricks.delta.optimize.maxFileSize": str(_TARGET_BYTES)})
    row = session.sql(f"OPTIMIZE delta.`{path}`").select("metrics.numFilesRemoved").first()
    return 0 if row is None else int(row[0])


def num_obsolete_files(spark: SparkSession, path: str, *, days: int) -> int:
    """Number of files that `remove_obsolete_files` would delete."""
    return spark.sql(f"VACUUM delta.`{path}` RETAIN {days * 24} HOURS DRY RUN").count()


def remove_obsolete_files(spark: SparkSession, path: str, *, days: int) -> int:
    """Delete files that no version of the last `days` days contains; return their number."""
    num_files = num_obsolete_files(spark, path, days=days)
    if num_files:
        # Commits that only log the removal would make every stage that reads the table run again.
        session = session_with(spark, {"spark.databricks.delta.vacuum.logging.enabled": "false"})
        session.sql(f"VACUUM delta.`{path}` RETAIN {days * 24} HOURS")
    return num_files


def delete_rows(spark: SparkSession, path: str, condition: str) -> int:
    """Delete the rows that satisfy an SQL condition; return their number."""
    row = spark.sql(f"DELETE FROM delta.`{path}` WHERE {condition}").first()
    return 0 if row is None else int(row[0])
