"""Jobs that are killed, the run that ends what they left, and what a lake holds then."""

import os
import signal
import time
from pathlib import Path

from support.jobs import start_script
from support.refreshed import digests

from crm_spark.contracts.bronze import bronze
from crm_spark.contracts.features import TABLES as MADE
from crm_spark.contracts.gold import TABLES as GOLD
from crm_spark.contracts.ops import DRIFT, FINDING, METRIC, QUARANTINE, RECONCILIATION, RUN, SUPERSEDED
from crm_spark.contracts.silver import ENTITIES
from crm_spark.core.tables import TableStore
from crm_spark.pipeline import STAGES, Pipeline
from crm_spark.settings import load_settings
from crm_spark.sources.config import load_sources

NO_ROWS = "0:0"


def num_kills(usual: int) -> int:
    """How many kills a test of random kills asks for; `CRM_SPARK_KILLS` asks for another number."""
    return int(os.environ.get("CRM_SPARK_KILLS", usual))


def start(job, *arguments):
    """A job, as a script."""
    return start_script(f"jobs/{job}.py", *arguments)


def kill(process):
    """Kills the whole group; true if its leader was still running then."""
    is_running = process.poll() is None
    if is_running:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return is_running


def kill_when(process, is_time):
    """Kills as soon as `is_time` says so; true if the process was still running then."""
    deadline = time.monotonic() + 900
    while process.poll() is None and time.monotonic() < deadline:
        if is_time():
            return kill(process)
        time.sleep(0.02)
    return False


def as_arguments(overrides):
    return [argument for override in overrides for argument in ("--set", override)]


def finish(conf, lake, overrides=(), stages=STAGES):
    """The run that nothing disturbs: in this process, whose JVM is warm."""
    return Pipeline(load_settings(Path(conf), list(overrides)), lake=str(lake)).run(stages)


def has_files(folder):
    return lambda: folder.exists() and any(folder.rglob("*.parquet"))


def left_behind(lake):
    """Names of data files that no commit of their table names."""
    log = "".join(path.read_text() for path in lake.glob("*/*/_delta_log/*.json"))
    return {path.name for path in lake.glob("*/*/**/part-*.parquet") if path.name not in log}


def ledger(spark, lake):
    """Rows of ops.run. Not their number of rows: a run that finds a batch committed has not written it."""
    rows = TableStore(spark, str(lake)).read(RUN).select("stage", "fingerprint", "status").collect()
    return sorted(tuple(row) for row in rows)


def content(spark, lake, conf_sources, *others):
    """Digests by table; one without rows is as one that nobody made."""
    store = TableStore(spark, str(lake))
    sources = [bronze(source.name) for source in load_sources(conf_sources)]
    accounts = (QUARANTINE, SUPERSEDED, RECONCILIATION, FINDING, METRIC, DRIFT)
    table_digests = digests(store, [*sources, *ENTITIES.values(), *GOLD, *MADE, *accounts, *others])
    return {table: digest for table, digest in table_digests.items() if digest != NO_ROWS}
