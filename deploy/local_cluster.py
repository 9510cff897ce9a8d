"""A cluster on this machine, from the JARs that are installed: a Spark standalone cluster, and an HDFS.

Every process is a real one, listens on 127.0.0.1 only, and ends with the block that started it.
"""

import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyspark
from install import CLUSTER_JAR_LOCK, fetch_jars

from crm_spark.core.java import find_java

_SPARK = Path(pyspark.__file__).parent
_DEPLOY = "org.apache.spark.deploy"
_HDFS = "org.apache.hadoop.hdfs.server"
_JARS_OF_SPARK = re.compile("hadoop-client|slf4j|log4j|commons-logging|jcl-over")


@dataclass(frozen=True)
class Service:
    """A running service.

    Attributes:
        url: where clients reach it.
        processes: its processes by name.
    """

    url: str
    processes: dict[str, "subprocess.Popen[bytes]"]


def free_port() -> int:
    """A port that no process listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def environment(conf: Path) -> dict[str, str]:
    """Environment of a machine on which `make setup` has not written Spark's defaults."""
    conf.mkdir(exist_ok=True)
    (conf / "spark-defaults.conf").write_text("")
    others = {k: v for k, v in os.environ.items() if not k.startswith("SPARK_")}
    return {**others, "JAVA_HOME": find_java(), "SPARK_CONF_DIR": str(conf), "SPARK_LOCAL_IP": "127.0.0.1"}


@contextmanager
def cluster(folder: Path, *, num_workers: int = 2, memory: str = "3g") -> Iterator[Service]:
    """Start a master and workers with one core each.

    Each worker has a loopback address of its own, so that Spark takes them for different nodes.

    Args:
        folder: for logs; the shuffle files and executors of worker `i` are in its folder `node<i>`.
        num_workers: number of workers.
        memory: of each worker, for its executors.
    """
    env, port, processes = environment(folder / "conf"), free_port(), Processes(folder)
    spark_class, url = str(_SPARK / "bin" / "spark-class"), f"spark://127.0.0.1:{port}"
    with processes:
        master = (f"{_DEPLOY}.master.Master", "--host", "127.0.0.1", "--port", str(port))
        log = processes.start("master", spark_class, *master, "--webui-port", str(free_port()), env=env)
        processes.wait_for(log, "I have been elected leader|New state: ALIVE")
        for i in range(num_workers):
            host, node = f"127.0.0.{i + 2}", folder / f"node{i}"
            node.mkdir(exist_ok=True)
            options = ("--cores", "1", "--memory", memory, "--host", host, "--webui-port", str(free_port()))
            command = (spark_class, f"{_DEPLOY}.worker.Worker", url, *options, "--work-dir", str(node / "work"))
            local = {"SPARK_LOCAL_IP": host, "SPARK_LOCAL_DIRS": str(node / "local")}
            log = processes.start(f"worker{i}", *command, env={**env, **local})
            processes.wait_for(log, "Successfully registered with master")
        yield Service(url, processes.running)


@contextmanager
def hdfs(folder: Path) -> Iterator[Service]:
    """Start a NameNode and a DataNode.

    Args:
        folder: for logs, settings and data.
    """
    conf, port = folder / "hadoop-conf", free_port()
    conf.mkdir(parents=True)
    uri = f"hdfs://127.0.0.1:{port}"
    http = f"127.0.0.1:{free_port()}"
    write_settings(conf / "core-site.xml", {"fs.defaultFS": uri, "hadoop.tmp.dir": str(folder / "hdfs-data")})
    nodes = {f"dfs.datanode.{name}": "127.0.0.1:0" for name in ("address", "http.address", "ipc.address")}
    single = {"dfs.replication": "1", "dfs.permissions.enabled": "false", "dfs.namenode.http-address": http}
    write_settings(conf / "hdfs-site.xml", {**nodes, **single})
    java = hadoop(folder)
    made = subprocess.run([*java, f"{_HDFS}.namenode.NameNode", "-format", "-nonInteractive"], capture_output=True)
    if made.returncode:
        raise RuntimeError(f"the HDFS could not be formatted:\n{made.stderr.decode()[-2000:]}")
    with Processes(folder) as processes:
        processes.start("namenode", *java, f"{_HDFS}.namenode.NameNode")
        wait_for_port(port)
        processes.start("datanode", *java, f"{_HDFS}.datanode.DataNode")
        _wait_for_datanode(http)
        yield Service(uri, processes.running)


def safe_mode(folder: Path, action: str) -> None:
    """`enter` or `leave` the safe mode of the HDFS in the folder: it can be read, and not written."""
    command = [*hadoop(folder), "org.apache.hadoop.hdfs.tools.DFSAdmin", "-safemode", action]
    subprocess.run(command, check=True, capture_output=True)


def hadoop(folder: Path) -> list[str]:
    """Java with Hadoop's classes and the settings in `hadoop-conf` of the folder."""
    fetched = fetch_jars(find_java(), CLUSTER_JAR_LOCK)
    jars = [*fetched, *sorted(path for path in (_SPARK / "jars").glob("*.jar") if _JARS_OF_SPARK.match(path.name))]
    return [f"{find_java()}/bin/java", "-Xmx256m", "-cp", ":".join(map(str, [folder / "hadoop-conf", *jars]))]


class Processes:
    """Processes that end with the block.

    Args:
        folder: for their logs.
    """

    def __init__(self, folder: Path):
        self._folder = folder
        self.running: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self.running.values()):
            process.send_signal(signal.SIGCONT)  # a stopped process does not end
            process.terminate()
        for process in self.running.values():
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()

    def start(self, name: str, *command: str, env: dict[str, str] | None = None) -> Path:
        """Start a process and return the path of its log."""
        log = self._folder / f"{name}.log"
        with log.open("w") as out:
            self.running[name] = subprocess.Popen(command, env=env, stdout=out, stderr=subprocess.STDOUT)
        return log

    @staticmethod
    def wait_for(log: Path, pattern: str, seconds: int = 180) -> None:
        """Wait until a log contains a pattern."""
        for _ in range(seconds * 2):
            if re.search(pattern, log.read_text()):
                return
            time.sleep(0.5)
        raise RuntimeError(f"{log}: no {pattern!r} after {seconds} s:\n{log.read_text()[-2000:]}")


def write_settings(path: Path, settings: dict[str, str]) -> None:
    """Write settings as Hadoop reads them."""
    entries = "".join(f"<property><name>{k}</name><value>{v}</value></property>" for k, v in settings.items())
    path.write_text(f"<configuration>{entries}</configuration>")


def wait_for_port(port: int, seconds: int = 180) -> None:
    """Wait until a process listens on a port."""
    for _ in range(seconds * 2):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.5)
    raise RuntimeError(f"nothing listens on port {port} after {seconds} s")


def _wait_for_datanode(http: str, seconds: int = 180) -> None:
    """Wait until the NameNode counts a live DataNode and has left its safe mode."""
    url = f"http://{http}/jmx?qry=Hadoop:service=NameNode,name=FSNamesystemState"
    for _ in range(seconds * 2):
        try:
            with urllib.request.urlopen(url, timeout=5) as answer:
                (state,) = json.load(answer)["beans"]
            if state["NumLiveDataNodes"] and state["FSState"] == "Operational":
                return
        except (OSError, ValueError):
            pass
        time.sleep(0.5)
    raise RuntimeError(f"no DataNode after {seconds} s")
