"""Builds the SparkSession; each setting has its reason."""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from pydantic import Field
from pyspark.sql import SparkSession

from crm_spark.core.config import Config
from crm_spark.core.errors import CrmError
from crm_spark.core.java import find_java
from crm_spark.core.jvm_lookups import keep_lookups
from crm_spark.core.parallelism import num_tasks
from crm_spark.core.signing import KEY_FILE

DELTA_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
DELTA_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
COMPILE_WIDE_PLANS = "-XX:-DontCompileHugeMethods"
"""Java does not compile methods above 8,000 bytes, which Spark generates for wide plans: they run half as fast."""

_ROWS_PER_PARTITION = 5_000
"""Rows per shuffle partition of small inputs."""
_ROWS_PER_LARGE_PARTITION = 20_000
"""Rows per shuffle partition where each row is compared with many others."""


class SessionConfig(Config):
    """How Spark is started outside spark-submit."""

    master: str | None = None
    """Master URL; null under spark-submit. `local[2,4]`: two threads, four attempts per task."""
    driver_memory: str = "3g"
    """Heap of the driver, if this process starts it."""
    java_options: str = ""
    """JVM options of the driver, if this process starts it."""
    shuffle_partitions: Annotated[int, Field(ge=1)] | None = None
    """Partitions after a shuffle; null: the cluster's default."""
    local_dir: str | None = None
    """Directory of shuffle and spill files; null: Spark's default."""
    settings: dict[str, str] = {}
    """Further Spark settings by their full name."""


def build_session(config: SessionConfig, *, app_name: str) -> SparkSession:
    """Build or get the session of a job.

    Raises:
        JavaNotFoundError: no supported Java version is installed.
        CrmError: the Delta JARs are not on the class path.
    """
    # PySpark converts naive times in the time zone of the process: drivers in different zones would disagree.
    os.environ["TZ"] = "UTC"
    time.tzset()
    builder = SparkSession.builder.appName(app_name)
    if config.master:
        os.environ.setdefault("JAVA_HOME", find_java())
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")  # avoids a warning and a wrong address
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers would use the system's python3
        builder = (
            builder.master(config.master)
            .config("spark.driver.memory", config.driver_memory)
            .config("spark.driver.extraJavaOptions", f"{COMPILE_WIDE_PLANS} {config.java_options}".strip())
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.ui.enabled", "false")
            # Spark's progress bar on terminals only; log files get one line per stage.
            .config("spark.ui.showConsoleProgress", str(sys.stderr.isatty()).lower())
        )
    if config.shuffle_partitions:
        builder = builder.config("spark.sql.shuffle.partitions", str(config.shuffle_partitions))
    if config.local_dir:
        builder = builder.config("spark.local.dir", config.local_dir)
    settings = {
        "spark.sql.extensions": DELTA_EXTENSION,
        "spark.sql.catalog.spark_catalog": DELTA_CATALOG,
        # Naive times are in the zone that their source declares, never in that of the machine.
        "spark.sql.session.timeZone": "UTC",
        # A failed cast gets a reason code instead of a silent null.
        "spark.sql.ansi.enabled": "true",
        # A flipped bit in a Parquet page is an error instead of a wrong result.
        "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
        "spark.sql.files.ignoreCorruptFiles": "false",
        "spark.sql.files.ignoreMissingFiles": "false",
        # Source files have various encodings, often windows-1252.
        "spark.sql.legacy.javaCharsets": "true",
        # More batch ids than this (100 by default) are not listed in checksum files, and every write replays the log.
        "spark.databricks.delta.setTransactionsInCrc.maxAllowed": "1000",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # The default of 10,000 rows per batch needs gigabytes per Python worker for long texts.
        "spark.sql.execution.arrow.maxBytesPerBatch": "16m",
        # Recording the Python call site of every Column takes an eighth of the time of a small refresh.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        # Print a stack trace when a Python worker crashes.
        "spark.python.worker.faulthandler.enabled": "true",
        **config.settings,
    }
    if not (config.master or "").startswith("local"):
        # A task that failed on one node is tried on others: one full disk does not stop the run.
        settings.setdefault("spark.excludeOnFailure.enabled", "true")
        # Processes that a task starts (training ranks) do not inherit the paths of --py-files; an image has the driver's path.
        settings.setdefault("spark.executorEnv.PYTHONPATH", f"crm_spark.zip:{Path(__file__).resolve().parents[2]}")
    if os.environ.get(KEY_FILE):
        settings[f"spark.executorEnv.{KEY_FILE}"] = os.environ[KEY_FILE]
    for key, value in settings.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    _size_to_cluster(spark, config)
    keep_lookups(spark)
    spark.sparkContext.setLogLevel("ERROR")
    _require_delta(spark)
    return spark


@contextmanager
def fitted_to(spark: SparkSession, num_rows: int, *, compile_from_rows: int) -> Iterator[None]:
    """Run the block's queries in a way that suits the number of rows.

    Fewer than `compile_from_rows` are processed interpreted, because compiling a wide plan takes longer than running it, and in
    few partitions, because each task has to deserialise the plan.
    """
    settings = {}
    if num_rows < compile_from_rows:
        partitions = min(int(spark.conf.get("spark.sql.shuffle.partitions") or 1), 1 + num_rows // _ROWS_PER_PARTITION)
        settings = {
            "spark.sql.codegen.wholeStage": "false",
            "spark.sql.codegen.factoryMode": "NO_CODEGEN",
            "spark.sql.shuffle.partitions": str(partitions),
        }
    with _with_settings(spark, settings):
        yield


@contextmanager
def with_shuffle_partitions(spark: SparkSession, num_rows: int) -> Iterator[None]:
    """Run the block's queries with as many partitions after a shuffle as the number of rows needs.

    For queries that adaptive execution cannot coalesce, because they repartition or cache explicitly.
    """
    num_needed = max(num_tasks(spark), 1 + num_rows // _ROWS_PER_LARGE_PARTITION)
    with _with_settings(spark, {"spark.sql.shuffle.partitions": str(num_needed)}):
        yield


@contextmanager
def _with_settings(spark: SparkSession, settings: dict[str, str]) -> Iterator[None]:
    explicit = spark.conf.getAll
    for name, value in settings.items():
        spark.conf.set(name, value)
    try:
        yield
    finally:
        for name in settings:
            if name in explicit:
                spark.conf.set(name, explicit[name])
            else:
                spark.conf.unset(name)


def _size_to_cluster(spark: SparkSession, config: SessionConfig) -> None:
    """Set what depends on the number of cores, unless the configuration does."""
    sizes = {
        # 50 state partitions by default: small commits cost nine times as much.
        "spark.databricks.delta.snapshotPartitions": max(2, spark.sparkContext.defaultParallelism // 4),
        # Spark jobs that list directories: 10,000 tasks by default.
        "spark.sql.sources.parallelPartitionDiscovery.parallelism": num_tasks(spark),
    }
    for key, value in sizes.items():
        if key not in config.settings:
            spark.conf.set(key, str(value))


def _require_delta(spark: SparkSession) -> None:
    jvm = spark._jvm
    assert jvm is not None
    loader = jvm.java.lang.Thread.currentThread().getContextClassLoader()
    try:
        loader.loadClass(DELTA_EXTENSION)
    except Exception:
        raise CrmError(
            "Delta Lake is not on Spark's class path. On your own machine run `make setup`; on a cluster "
            "run `make package` and add its JARs with `--jars` to spark-submit."
        ) from None
