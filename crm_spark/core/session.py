"""The only place that builds a SparkSession; each setting has its reason."""

import os
import sys
import time
from typing import Annotated

from pydantic import Field
from pyspark.sql import SparkSession

from crm_spark.core.config import Config
from crm_spark.core.errors import CrmError
from crm_spark.core.java import find_java
from crm_spark.core.parallelism import num_tasks
from crm_spark.core.signing import KEY_FILE

DELTA_EXTENSION = "io.delta.sql.DeltaSparkSessionExtension"
DELTA_CATALOG = "org.apache.spark.sql.delta.catalog.DeltaCatalog"
COMPILE_WIDE_PLANS = "-XX:-DontCompileHugeMethods"
"""Java leaves methods of more than 8,000 bytes interpreted, and Spark makes one of every wide plan: twice as slow."""


class SessionConfig(Config):
    """How Spark is started where the cluster does not say so itself."""

    master: str | None = None
    """Master URL, or null under spark-submit. `local[2,4]`: two threads, and a failed task is tried four times."""
    driver_memory: str = "3g"
    """Heap of a driver that this process starts itself."""
    java_options: str = ""
    """Options of a driver JVM that this process starts itself."""
    shuffle_partitions: Annotated[int, Field(ge=1)] | None = None
    """Partitions after a shuffle; null leaves it to the cluster."""
    local_dir: str | None = None
    """Where shuffles and spills go; null: Spark's own choice."""
    settings: dict[str, str] = {}
    """Any further Spark setting, by its full name."""


def build_session(config: SessionConfig, *, app_name: str) -> SparkSession:
    """The session a job runs in.

    Raises:
        CrmError: there is no Java, or the Delta JARs are not on the class path.
    """
    # PySpark reads naive times in the zone of the process: two drivers in two zones would disagree about every file.
    os.environ["TZ"] = "UTC"
    time.tzset()
    builder = SparkSession.builder.appName(app_name)
    if config.master:
        os.environ.setdefault("JAVA_HOME", find_java())
        os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")  # else a warning, and an address that may not be ours
        os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers would take the system's python3
        builder = (
            builder.master(config.master)
            .config("spark.driver.memory", config.driver_memory)
            .config("spark.driver.extraJavaOptions", f"{COMPILE_WIDE_PLANS} {config.java_options}".strip())
            .config("spark.driver.host", "127.0.0.1")
            .config("spark.ui.enabled", "false")
            # Spark's own bar, for who looks on; a log file gets the line per stage alone.
            .config("spark.ui.showConsoleProgress", str(sys.stderr.isatty()).lower())
        )
    if config.shuffle_partitions:
        builder = builder.config("spark.sql.shuffle.partitions", str(config.shuffle_partitions))
    if config.local_dir:
        builder = builder.config("spark.local.dir", config.local_dir)
    settings = {
        "spark.sql.extensions": DELTA_EXTENSION,
        "spark.sql.catalog.spark_catalog": DELTA_CATALOG,
        # Naive times mean what their source declares, never what the machine's zone is.
        "spark.sql.session.timeZone": "UTC",
        # A cast that fails is our reason code, not a silent null.
        "spark.sql.ansi.enabled": "true",
        # A flipped bit in a page is an error instead of a wrong sum.
        "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
        "spark.sql.files.ignoreCorruptFiles": "false",
        "spark.sql.files.ignoreMissingFiles": "false",
        # Files come in whatever encoding their source writes, windows-1252 more often than not.
        "spark.sql.legacy.javaCharsets": "true",
        # More batch ids than this (100 by default) are not listed in checksum files, and every write replays the log.
        "spark.databricks.delta.setTransactionsInCrc.maxAllowed": "1000",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        # By default ten thousand rows whatever they weigh: of long texts that is gigabytes in every Python worker.
        "spark.sql.execution.arrow.maxBytesPerBatch": "16m",
        # Else every Column remembers the Python line that made it: an eighth of the time of a small refresh.
        "spark.python.sql.dataFrameDebugging.enabled": "false",
        # A task kill is retried; a worker that dies says where.
        "spark.python.worker.faulthandler.enabled": "true",
        **config.settings,
    }
    if os.environ.get(KEY_FILE):
        settings[f"spark.executorEnv.{KEY_FILE}"] = os.environ[KEY_FILE]
    for key, value in settings.items():
        builder = builder.config(key, value)
    spark = builder.getOrCreate()
    _size_to_cluster(spark, config)
    spark.sparkContext.setLogLevel("ERROR")
    _require_delta(spark)
    return spark


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
            "Delta Lake is not on Spark's class path. On your own machine run `make setup`; on a cluster add "
            "`--packages io.delta:delta-spark_4.2_2.13:4.4.0` to spark-submit."
        ) from None
