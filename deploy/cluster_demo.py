"""`make cluster-demo`: a generated company on a Spark standalone cluster and an HDFS of this machine, compared with local mode.

One master, three workers, a NameNode and a DataNode; the company's files and the lake are in HDFS; the submit command is the one
of docs/cluster.md. Everything that was started is stopped at the end. Needs about 12 GiB of memory.
"""

import argparse
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from local_cluster import cluster, environment, hdfs  # noqa: E402
from package import main as make_package  # noqa: E402

CONF = "conf/demo.yaml"
SETTINGS = ("session.master=null",)
COMPARED = (
    *("silver/person", "silver/order", "silver/order_line", "silver/feedback", "silver/interaction", "gold/customer"),
    *("gold/customer_link", "features/customer", "ops/reconciliation"),
)
"""Tables whose rows do not depend on partitions. Models do: their sums have another order."""
IGNORED = ("row_id", "batch_id", "merged_from", "run_id", "loaded_at")


def main() -> int:
    """Run the demonstration; 0 if the tables are those of local mode."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "cluster-demo")
    parser.add_argument("--customers", type=int, default=2000)
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="SECTION.KEY=VALUE")
    arguments = parser.parse_args()
    out = arguments.out.resolve()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    _run([sys.executable, "jobs/generate.py", "--out", str(out / "company"), "--customers", str(arguments.customers)])
    make_package()
    started = time.monotonic()
    with hdfs(out) as files, cluster(out, num_workers=3, memory="2g") as spark:
        store, env = files.url, submit_environment(out)
        _log(f"cluster and HDFS are up after {time.monotonic() - started:.0f} s")
        copy_to(store, out / "company" / "drops", env)
        command = submit_command(spark.url, f"{store}/lake", f"{store}/drops", *arguments.settings)
        started = time.monotonic()
        _run(["sh", "-ec", command], env=env)
        cluster_seconds = time.monotonic() - started
        copy_from(store, out / "from-hdfs", env)
    started = time.monotonic()
    local = [sys.executable, "jobs/refresh.py", "--conf", CONF, "--lake", str(out / "lake")]
    settings = [f"ingest.data_dir={out / 'company' / 'drops'}", *arguments.settings]
    _run([*local, *(word for setting in settings for word in ("--set", setting))])
    local_seconds = time.monotonic() - started
    differing = [name for name in COMPARED if rows_of(out / "from-hdfs" / name) != rows_of(out / "lake" / name)]
    _log(f"refresh on the cluster: {cluster_seconds:.0f} s, in local mode: {local_seconds:.0f} s")
    _log(f"tables compared: {len(COMPARED)}, differing: {', '.join(differing) or 'none'}")
    return 1 if differing else 0


def submit_command(master: str, lake: str, data_dir: str, *settings: str) -> str:
    """The submit command of docs/cluster.md for a cluster with small executors."""
    section = (ROOT / "docs" / "cluster.md").read_text(encoding="utf-8").split("## Submit")[1]
    found = re.search(r"```\n(.*?)```", section, flags=re.S)
    assert found is not None
    command = found[1].replace("make package\n", "").replace("spark://master:7077", master)
    command = command.replace("/mnt/lake", lake).replace("/mnt/drops", data_dir).replace("conf/base.yaml", CONF)
    command = command.replace(
        "jobs/refresh.py", "--driver-memory 2g --conf spark.executor.memory=1500m jobs/refresh.py"
    )
    return f"{command.strip()} {' '.join(f'--set {shlex.quote(setting)}' for setting in (*SETTINGS, *settings))}"


def submit_environment(folder: Path) -> dict[str, str]:
    """Environment of spark-submit, with settings and caches of its own in the folder."""
    env = environment(folder / "submit-conf")
    env |= {"PATH": f"{Path(sys.executable).parent}:{env['PATH']}", "PYSPARK_PYTHON": sys.executable}
    return env | {"XDG_CACHE_HOME": str(folder / "cache")}


def rows_of(table: Path) -> list[str]:
    """The rows of a table, without what tells one run from another, in an order of their own.

    Fractions are compared to nine digits: the last ones depend on the order of a sum.
    """
    from deltalake import DeltaTable

    frame = DeltaTable(str(table)).to_pandas()
    frame = frame.drop(columns=[name for name in frame.columns if name in IGNORED])
    fractions = frame.select_dtypes("float").columns
    frame[fractions] = frame[fractions].round(9)
    return sorted(map(repr, frame.astype(str).to_dict("records")))


def copy_to(store: str, folder: Path, env: dict[str, str]) -> None:
    """Copy a local folder to `drops` of an HDFS."""
    _hadoop(env, f"system.copyFromLocalFile(Path({folder.as_uri()!r}), Path({f'{store}/drops'!r}))", store)


def copy_from(store: str, folder: Path, env: dict[str, str]) -> None:
    """Copy `lake` of an HDFS to a local folder."""
    _hadoop(env, f"system.copyToLocalFile(False, Path({f'{store}/lake'!r}), Path({folder.as_uri()!r}), True)", store)


def _hadoop(env: dict[str, str], statement: str, store: str) -> None:
    """Run one statement on the file system of `store` in a process of its own: its JVM ends with it."""
    code = (
        "from crm_spark.core.session import SessionConfig, build_session\n"
        "from crm_spark.core.jvm_lookups import jvm_class\n"
        "spark = build_session(SessionConfig(master='local[1]', driver_memory='512m'), app_name='copy')\n"
        "Path = jvm_class(spark, 'org.apache.hadoop.fs.Path')\n"
        f"system = Path({store!r}).getFileSystem(spark._jsc.hadoopConfiguration())\n"
        f"{statement}\n"
    )
    others = {key: value for key, value in env.items() if key != "SPARK_CONF_DIR"}
    _run([sys.executable, "-c", code], env=others)


def _run(command: list[str], env: dict[str, str] | None = None) -> None:
    subprocess.run(command, cwd=ROOT, check=True, env=env)


def _log(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
